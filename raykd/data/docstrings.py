"""Docstrings of functions and classes in Python source, found without a syntax tree where that is certain.

A tree of everything costs ten times as much as a look at what stands before each triple quote. Where quotes in other
strings, comments or headers could be taken for a docstring's, the source is parsed.
"""

import ast
import inspect
import re
from collections.abc import Iterator

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where a statement, or a part of one, holds others
_QUOTES = '"""'
_START = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class)[ \t]", re.MULTILINE)
_TOKEN = re.compile(r"""[][(){}:]|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'|#[^\n]*""", re.DOTALL)
_NOTHING = re.compile(r"(?:\s|#[^\n]*(?=\n))*([rRuU]?)")  # between a header and its docstring, and the string's prefix
_AFTER = re.compile(r"[ \t\f]*(?:[\r\n;#]|$)")  # a docstring that is a statement of its own


class _UnsureError(Exception):
    """Quotes that only a parser can tell apart."""


def docstrings(source: str) -> list[str]:
    """Those in three double quotes, of more than one line maybe, cleaned as `inspect.getdoc` does, in any order."""
    try:
        found = list(_looked_up(source))
    except _UnsureError:
        found = list(_parsed(source))
    return [inspect.cleandoc(text) for text in found]


def _looked_up(source: str) -> Iterator[str]:
    parts = source.split(_QUOTES)
    if len(parts) % 2 == 0 or "'''" in source or f"\\{_QUOTES}" in source:
        raise _UnsureError
    for before, text, after in zip(parts[:-1:2], parts[1::2], parts[2::2], strict=True):
        line = before[before.rfind("\n") + 1 :]
        if "'" in line or "#" in line:
            raise _UnsureError
        prefix = _prefix_of_docstring(before)
        if prefix is None:
            continue
        if not _AFTER.match(after):
            raise _UnsureError
        yield text if "\\" not in text or prefix in ("r", "R") else _unescaped(text)


def _unescaped(text: str) -> str:
    try:
        value: str = ast.literal_eval(f"{_QUOTES}{text}{_QUOTES}")
    except SyntaxError as error:
        raise _UnsureError from error
    return value


def _prefix_of_docstring(before: str) -> str | None:
    """What a string's quotes are prefixed with, if it comes right after a header; None if it doesn't."""
    start = _last_start(before)
    if start is None:
        return None
    depth = 0
    for token in _TOKEN.finditer(before, start):
        mark = token[0]
        if mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
        elif mark == ":" and depth == 0:
            nothing = _NOTHING.fullmatch(before, token.end())
            if nothing is None and not before[token.end() :].strip(" \t\r\n\\("):
                raise _UnsureError  # A docstring may stand in brackets, or on a continued line.
            return None if nothing is None else nothing[1]
    raise _UnsureError  # The string is an argument's default, or another part of the header.


def _last_start(before: str) -> int | None:
    """Where the last line stands that a function or class begins with."""
    end = len(before)
    while end > 0:
        place = max(before.rfind("def ", 0, end), before.rfind("class ", 0, end))
        if place < 0:
            return None
        line = before.rfind("\n", 0, place) + 1
        if _START.match(before, line):
            return line
        end = place
    return None


def _parsed(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # Packages ship templates and files for other Python versions.
        return
    left: list[ast.AST] = [tree]
    while left:  # What statements are made of, most of a tree, holds no definition.
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring is not None:
                yield docstring
        for block in _BLOCKS:
            left.extend(getattr(node, block, ()))
