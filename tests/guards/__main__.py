"""Remove one guard after the other, and see the suite fail each time."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.guards.catalogue import GUARDS
from tests.guards.removal import Guard

ROOT = Path(__file__).resolve().parents[2]


def copied(folder: Path) -> Path:
    """The tree as it is now, without what is not the project's."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".billing", "__pycache__", "node_modules", ".*_cache")
    shutil.copytree(ROOT, folder / "tree", ignore=ignored)
    return folder / "tree"


def holds_without(guard: Guard, tree: Path) -> str | None:
    """None where the tests fail without the guard, as they must; else what is wrong."""
    for edit in guard.edits:
        if not edit.is_possible(tree):
            return f"{edit.path} does not have its text once"
    for edit in guard.edits:
        edit.make(tree)
    try:
        said = run_tests(tree, guard.tests)
    finally:
        for edit in guard.edits:
            edit.undo(tree, ROOT)
    if re.search(r"\b[1-9][0-9]* failed\b", said):
        return None
    return "nothing fails without it" if " passed" in said else "the tests could not be run"


def run_tests(tree: Path, tests: tuple[str, ...]) -> str:
    """The last line that pytest says: an error before a test began proves nothing."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *tests]
    variables = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=variables, capture_output=True, check=False)
    return done.stdout.decode(errors="replace").strip().rpartition("\n")[2]


def main(names: list[str]) -> int:
    if names == ["--list"]:
        print("\n".join(guard.name for guard in GUARDS))
        return 0
    chosen = [guard for guard in GUARDS if not names or guard.name in names]
    survived = 0
    with tempfile.TemporaryDirectory(prefix="guards-") as folder:
        tree = copied(Path(folder))
        for guard in chosen:
            began = time.monotonic()
            complaint = holds_without(guard, tree)
            survived += complaint is not None
            print(f"{complaint or 'missed at once':>30}  {time.monotonic() - began:5.1f} s  {guard.name}", flush=True)
    print(f"{len(chosen)} guards, {survived} of them not proven")
    return 1 if survived or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
