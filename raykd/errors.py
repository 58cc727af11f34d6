"""The error for anything a user can put right; the command turns it into one line and exit code 2."""


class InputError(ValueError):
    """Bad configuration or input.

    The message is one line: what and where, what was found, what was expected, and the remedy.
    """
