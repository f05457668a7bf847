"""What a door is measured against: the Starlette no-op, behind the same server and asked by the same client."""

import asyncio
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from billing.local.ports import free_port
from tests.bench.load import post, requests_per_second
from tests.support.database import TEMPLATE, fill_template
from tests.support.servers import running_postgres, running_valkey
from tests.support.stack import Process, Stack, eventually, running_stack

ROUNDS = 5


@contextmanager
def running_door(folder: Path) -> Iterator[Stack]:
    """One web process on servers of its own; no workers."""
    with running_postgres() as postgres, running_valkey() as valkey:
        postgres.create_database(TEMPLATE)
        fill_template(postgres.url(TEMPLATE))
        with running_stack(postgres, valkey, folder, "web", DATABASE_URL=postgres.url(TEMPLATE)) as stack:
            yield stack


@contextmanager
def running_noop(stack: Stack, folder: Path) -> Iterator[int]:
    """Gives its port."""
    port = free_port()
    server = "--loop uvloop --http httptools --no-access-log --log-level error"
    command = f"exec uvicorn tests.bench.noop:app --port {port} {server}"
    noop = Process("noop", ("/bin/sh", "-c", command), stack.variables, folder / "noop.log")
    noop.start()
    try:
        eventually(lambda: _answers(port), 20, lambda: noop.log)
        yield port
    finally:
        noop.stop()


def _answers(port: int) -> bool:
    try:
        return asyncio.run(requests_per_second(port, [post("/", b"{}")])) > 0
    except OSError:
        return False


def compare(what: str, stack: Stack, folder: Path, requests_of: Callable[[int], Sequence[bytes]], size: int) -> None:
    """The door and the no-op in turn: as many requests to each, of `size` bytes to the latter."""
    door, yardstick = [], []
    with running_noop(stack, folder) as port:
        for number in range(ROUNDS):
            requests = requests_of(number)
            yardstick.append(asyncio.run(requests_per_second(port, [post("/", b"{}".ljust(size))] * len(requests))))
            door.append(asyncio.run(requests_per_second(stack.port, requests)))
    report(what, door, "Starlette no-op", yardstick)


def report(what: str, mine: list[float], yardstick: str, theirs: list[float]) -> None:
    ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
    print(f"{what}: {statistics.median(mine):,.0f}/s; {yardstick}: {statistics.median(theirs):,.0f}/s")
    print(f"  ratio {min(ratios):.2f} / {statistics.median(ratios):.2f} / {max(ratios):.2f} (least, median, most)")
