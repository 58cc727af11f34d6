"""What is found by looking at quotes is what a parser finds."""

import ast
import inspect
import sysconfig
from pathlib import Path

import pytest

from raykd.data.docstrings import docstrings

PACKAGE = Path(sysconfig.get_paths()["purelib"]) / "keras/src/layers"

CASES = {
    "plain": 'def f():\n    """One.\n\n    Two."""\n',
    "arguments": 'def f(\n    a: B[str] = {"a:b": 1},  # def g():\n    *, b=lambda: 0,\n) -> "x:y":\n    """One."""\n',
    "comments": 'async def f():  # it\'s: so\n    # def g():\n\n    """One."""\n    x = 1\n',
    "classes": 'class A(B[int, "a:"], metaclass=M): """One."""; x = 1\n',
    "raw": 'def f():\n    r"""\\d \\"quoted\\" """\n',
    "escapes": 'def f():\n    """A \\\n    line, a tab\\t."""\n',
    "other_strings": 'class A:\n    x = """no"""\n    def f(s):\n        """One."""\n        g("""no""", """no""")\n',
    "one_line": 'def f(): return """no"""\ndef g(): x = {"a": """no"""}\n',
    "blocks": 'if x:\n    """no"""\nelse:\n    def f():\n        """One."""\n',
    "examples": 'def f():\n    """One.\n\n    def g():\n    """\n\ndef h():\n    """Two."""\n',
    "bytes": 'def f():\n    b"""no"""\ndef g():\n    f"""{x}"""\n',
    "joined": 'def f():\n    """One """ "two."\n',
    "formatted": 'def f():\n    """no %s""" % x\n',
    "quoted_quotes": 'x = \'"""\'\ndef f():\n    """One."""\ny = \'"""\'\n',
    "quotes_in_comments": 'x = 1  # """\ndef f():\n    """One."""\ny = 2  # """\n',
    "other_quotes": 'x = \'\'\'\ndef g():\n    """no"""\n\'\'\'\ndef f():\n    """One."""\n',
    "defaults": 'def f(x="""no"""):\n    """One."""\n',
    "brackets": 'def f():\n    ("""One.""")\n\ndef g(): \\\n    """Two."""\n',
    "bad_escape": 'def f():\n    """\\x"""\n',
    "none": "def f(): pass\n",
    "unclosed": 'def f():\n    """One.\n',
}


def _parsed(source: str) -> list[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    found = [ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, kinds)]
    return sorted(inspect.cleandoc(text) for text in found if text)


@pytest.mark.parametrize("case", CASES)
def test_what_a_parser_finds_is_found(case: str) -> None:
    assert sorted(docstrings(CASES[case])) == _parsed(CASES[case])


def test_those_of_an_installed_package_are_found() -> None:
    sources = [path.read_text() for path in sorted(PACKAGE.rglob("*.py"))]
    found = [sorted(filter(None, docstrings(source))) for source in sources]
    assert found == list(map(_parsed, sources))
    assert sum(map(len, found)) > 400
