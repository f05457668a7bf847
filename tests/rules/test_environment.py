"""Settings are read once, by those who start a process; everything else is told."""

import pytest

from tests.rules.sources import Module, modules

READERS = ("billing/config.py", "billing/cli/", "billing/local/", "billing/sandbox/", "run")
LOADERS = ("billing/cli/", "billing/local/stack.py", "web/asgi.py", "workers/app.py", "workers/runtime.py")


def reads_environment(module: Module) -> bool:
    return bool(module.attributes() & {"os.environ", "os.getenv"} or module.imported() & {"os.environ", "os.getenv"})


def test_only_starters_read_the_environment() -> None:
    """A variable that is read deep inside is neither judged at boot nor found in the list of settings."""
    assert [module.path for module in modules() if reads_environment(module) and not module.is_in(READERS)] == []


def test_only_starters_load_settings() -> None:
    """A process runs with one set of settings from its first to its last line."""
    loading = [module for module in modules() if "Settings.load" in module.attributes()]
    assert [module.path for module in loading if not module.is_in(LOADERS)] == []
    assert loading


@pytest.mark.parametrize("line", ["import os\nos.environ['X']", "from os import environ", "os.getenv('X')"])
def test_the_rule_sees_a_reader(line: str) -> None:
    """A rule that cannot fail proves nothing."""
    assert reads_environment(Module("billing/students.py", line))
