"""The sandbox stands beside the system: it shares no code with what it tests, so that no mistake is made twice."""

import ast
from collections.abc import Iterator
from pathlib import Path

import billing.sandbox

FOLDER = Path(billing.sandbox.__file__).parent
CHANCE = {"random", "secrets", "uuid"}


def test_the_sandbox_imports_nothing_of_the_system() -> None:
    ours = {name for _, name in imports() if name.partition(".")[0] in {"billing", "web", "workers"}}
    assert {name for name in ours if not name.startswith("billing.sandbox")} == set()


def test_what_is_drawn_by_lot_is_drawn_in_one_module() -> None:
    assert {file for file, name in imports() if name in CHANCE} == {"chance.py"}


def imports() -> Iterator[tuple[str, str]]:
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                yield file.name, node.module or ""
            if isinstance(node, ast.Import):
                yield from ((file.name, alias.name) for alias in node.names)
