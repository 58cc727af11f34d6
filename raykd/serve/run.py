"""Serves a finished run until it is interrupted, exporting its model first where that isn't done."""

import logging
import signal
import socket
import threading
from contextlib import ExitStack
from importlib.util import find_spec

from rich.console import Console as Terminal

from raykd.artifacts import RunDirectory
from raykd.cluster import connect
from raykd.config import Config
from raykd.errors import InputError
from raykd.export.choice import chosen_name
from raykd.export.published import exported_formats
from raykd.pipeline import export
from raykd.quiet import silenced
from raykd.serve.settings import Settings

_PACKAGES = ("fastapi", "starlette", "uvicorn")  # of the extra


def check_installed() -> None:
    """Raises: InputError where the packages of the extra are missing."""
    for name in _PACKAGES:
        if find_spec(name) is None:
            raise InputError(
                f'raykd serve needs the package {name}, which isn\'t installed; pip install "raykd[serve]"'
            )


def check_free(host: str, port: int) -> None:
    """Raises: InputError where the address can't be listened on."""
    try:
        [family, kind, _, _, place], *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise InputError(f"--host {host} --port {port}: {error.strerror}; choose another") from error


def ensure_export(config: Config, run: RunDirectory, *, verbose: bool) -> None:
    """Export the configuration's model as a SavedModel unless a bundle of the present evaluation holds one."""
    if "saved_model" not in exported_formats(run, chosen_name(config)):
        formats = dict.fromkeys((*config.export.formats, "saved_model"))
        section = config.export.model_copy(update={"formats": list(formats)})
        export(config.model_copy(update={"export": section}), run, verbose=verbose)


def serve(run: RunDirectory, name: str, settings: Settings, host: str, port: int, *, verbose: bool) -> None:
    """Answer HTTP requests on this address with an exported model until SIGINT or SIGTERM comes.

    Raises: InputError where the address can't be listened on, or a package is missing.
    """
    check_installed()
    check_free(host, port)
    from ray import serve as ray_serve

    from raykd.serve.app import application

    if not verbose:
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
    stopped = threading.Event()
    with ExitStack() as ending, connect(None, verbose):
        try:
            ray_serve.start(
                proxy_location="HeadOnly",
                http_options={"host": host, "port": port},
                logging_config=None if verbose else {"log_level": "ERROR", "enable_access_log": False},
            )
            ray_serve.run(application(run, name, settings), name="raykd")
            for one in (signal.SIGINT, signal.SIGTERM):  # Ray has put handlers of its own in place.
                signal.signal(one, lambda number, frame: stopped.set())
            line = f"{name} of {run.root} at http://{host}:{port}; Ctrl-C ends it"
            Terminal().print(line, highlight=False, soft_wrap=True)
            stopped.wait()
        finally:
            if not verbose:
                ending.enter_context(silenced(output=True))  # Ray tells of its own actors' end.
            ray_serve.shutdown()
