import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from billing.local.ports import free_port
from tests.local.up import Up, fake_checkout


@pytest.fixture
def folder() -> Iterator[Path]:
    with enterable_folder() as made:
        yield made


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """For a module whose tests are content with a data folder that has been used before."""
    with enterable_folder() as made:
        yield made


@contextmanager
def enterable_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account may enter; pytest's own are closed to everybody else."""
    made = Path(tempfile.mkdtemp(prefix="billing-tests-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start_up(folder: Path) -> Iterator[Callable[..., Up]]:
    """Starts `billing up` in a checkout with this Procfile; whatever a test leaves running is killed after it."""
    started: list[Up] = []

    def start(procfile: str, environment: Mapping[str, str], *options: str) -> Up:
        fake_checkout(folder, procfile)
        started.append(Up(folder, environment, *options))
        return started[-1]

    yield start
    for one in started:
        one.kill_if_running()
