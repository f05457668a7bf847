"""One sandbox for all tests of this folder, a new account for each."""

from collections.abc import Iterator

import pytest

from tests.sandbox.running import Receiver, Sandbox, receiving, running


@pytest.fixture(scope="session")
def _receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def _sandbox(tmp_path_factory: pytest.TempPathFactory, _receiver: Receiver) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), _receiver.url) as sandbox:
        yield sandbox


@pytest.fixture
def receiver(_receiver: Receiver) -> Receiver:
    return _receiver


@pytest.fixture
def sandbox(_sandbox: Sandbox, receiver: Receiver) -> Sandbox:
    """After a reset nothing is on its way to the receiver."""
    _sandbox.tell("reset")
    receiver.forget()
    return _sandbox
