"""What is in the repository is of the project, and of no machine it was written on."""

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.rules.sources import ROOT

LEFT_OUT = {".git", ".venv", ".billing", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__"}

# Written in pieces, for this file is in the repository too.
PLACES = re.compile(r"(?<![\w.:/])/(?:" + "|".join(("ro" + "ot", "ho" + "me", "Us" + "ers", "wo" + "rk")) + r")/[\w.]")
REGISTRIES = re.compile(
    "|".join(("py" + r"pi\.org", "python" + "hosted", "arti" + "factory", "ne" + r"xus\.")), re.IGNORECASE
)
INDEXES = re.compile("|".join(("--(extra-)?" + "index-url", "--find" + "-links", "--trusted" + "-host")))


@cache
def tracked() -> Sequence[Path]:
    """As git knows them; where this is no checkout, all that would be tracked."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not LEFT_OUT & set(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


def found_in(pattern: re.Pattern[str], paths: Sequence[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {line.strip()[:100]}"
        for path in paths
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if pattern.search(line)
    ]


def test_there_is_something_to_look_at() -> None:
    """An empty list of files would pass every rule."""
    assert ROOT / "pyproject.toml" in tracked()
    assert len(tracked()) > 50


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """A path of somebody's folder works for somebody."""
    assert found_in(PLACES, tracked()) == []


def test_no_file_names_a_package_registry() -> None:
    """Everybody installs from where their own pip is told to; an address of ours would break or betray theirs."""
    assert found_in(REGISTRIES, tracked()) == []
    assert found_in(INDEXES, tracked()) == []


def test_locks_hold_versions_and_hashes_and_no_address() -> None:
    """The same lock installs from any index, and only what was locked."""
    locks = [path for path in tracked() if path.suffix == ".lock"]
    assert locks
    assert found_in(re.compile("://"), locks) == []
    for lock in locks:
        text = lock.read_text()
        pinned = re.findall(r"^[A-Za-z0-9][\w.\-\[\]]*==\S+.*\\$", text, re.MULTILINE)
        assert len(pinned) > 10
        assert text.count("--hash=sha256:") >= len(pinned)


@pytest.mark.parametrize("name", [".env", "uv.lock", "services.env"])
def test_what_is_of_one_machine_is_not_tracked(name: str) -> None:
    """Secrets of a developer and addresses of an index get into a repository once and never out of it."""
    assert [path for path in tracked() if path.name == name] == []


@pytest.mark.parametrize("line", ["see /ro" + "ot/x", 'Path("/ho' + 'me/ana/x")', "cd /Us" + "ers/ana"])
def test_the_rule_sees_a_path(line: str) -> None:
    """A rule that cannot fail proves nothing."""
    assert PLACES.search(line)
    assert not PLACES.search("https://example.com/ho" + "me/page")
