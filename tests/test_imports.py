"""Imports point one way, and importing raykd is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import raykd

ORDER = [
    "errors", "quiet", "retries", "artifacts", "transfer", "config", "loading", "stored", "losses", "hidden_losses",
    "ensemble", "data", "models", "train", "process", "distill", "evaluate", "report", "lease", "schedule", "lane",
    "lanes", "capacity", "autoscaler", "cluster", "predict", "export", "plan", "metrics", "preview", "tables",
    "console", "pipeline", "seeds", "bench", "serve", "doctor", "starter", "api", "cli",
]  # fmt: skip


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("raykd."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "raykd":
            names.update(alias.name for alias in node.names)
    return names


def test_imports_point_backwards() -> None:
    root = Path(raykd.__file__).parent
    forward = []
    for path in root.rglob("*.py"):
        if path.name == "__init__.py" and path.parent == root:
            continue
        own = path.relative_to(root).parts[0].removesuffix(".py")
        for name in _imports(path) - {own}:
            if ORDER.index(name) >= ORDER.index(own):
                forward.append(f"{path.relative_to(root)} imports {name}")
    assert forward == []


def test_the_command_answers_before_anything_large_is_loaded() -> None:
    large = "{'tensorflow', 'ray', 'keras', 'pyarrow', 'numpy', 'pydantic'}"
    code = f"import sys, raykd, raykd.cli; print({large} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_configurations_load_neither_tensorflow_nor_ray() -> None:
    code = "import sys, raykd; raykd.load_config('digits'); print({'tensorflow', 'ray', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
