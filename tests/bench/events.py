"""Events: accepted by one door process, and credited by the workers from a backlog.

    python -m tests.bench.events [EVENTS]

The door is measured in turn with a Starlette route that does nothing (the same server, the same client); crediting with
a bare loop of the same statements' minimum, two connections at once: one UPDATE ... RETURNING and one INSERT a batch.
"""

import asyncio
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import stripe
from sqlalchemy import text

from billing.config import SANDBOX_WEBHOOK_SECRET
from billing.local.ports import free_port
from tests.bench.load import post, requests_per_second
from tests.support.backlog import add_backlog
from tests.support.database import TEMPLATE, fill_template
from tests.support.servers import running_postgres, running_valkey
from tests.support.stack import WEBHOOKS, Process, Stack, eventually, running_stack

ROUNDS = 5
PADDING = "x" * 2_000
"""Brings an event to the 2.7 KB that Stripe's have."""

BARE = """
    WITH batch AS (
        SELECT id FROM bare WHERE NOT done ORDER BY id LIMIT 200 FOR UPDATE SKIP LOCKED
    ), taken AS (UPDATE bare SET done = true FROM batch WHERE bare.id = batch.id RETURNING bare.id)
    INSERT INTO bare_entry SELECT id, 600 FROM taken
"""


def main(events: int) -> None:
    with running_postgres() as postgres, running_valkey() as valkey, tempfile.TemporaryDirectory() as folder:
        postgres.create_database(TEMPLATE)
        fill_template(postgres.url(TEMPLATE))
        with running_stack(postgres, valkey, Path(folder), "web", DATABASE_URL=postgres.url(TEMPLATE)) as stack:
            accepting(stack, events, Path(folder))
            crediting(stack, events)


def accepting(stack: Stack, events: int, folder: Path) -> None:
    port = free_port()
    server = "--loop uvloop --http httptools --no-access-log --log-level error"
    command = f"exec uvicorn tests.bench.noop:app --port {port} {server}"
    noop = Process("noop", ("/bin/sh", "-c", command), stack.variables, folder / "noop.log")
    noop.start()
    eventually(lambda: _answers(port), 20, lambda: noop.log)
    door, yardstick = [], []
    for number in range(ROUNDS):
        yardstick.append(asyncio.run(requests_per_second(port, [post("/", b"{}".ljust(2700))] * events)))
        signed = [_signed(number * events + index) for index in range(events)]
        door.append(asyncio.run(requests_per_second(stack.port, signed)))
    noop.stop()
    ratios = [mine / theirs for mine, theirs in zip(door, yardstick, strict=True)]
    report("accepted by one door", door, "Starlette no-op", yardstick, ratios)


def report(what: str, mine: list[float], yardstick: str, theirs: list[float], ratios: list[float]) -> None:
    print(f"{what}: {statistics.median(mine):,.0f}/s; {yardstick}: {statistics.median(theirs):,.0f}/s")
    print(f"  ratio {min(ratios):.2f} / {statistics.median(ratios):.2f} / {max(ratios):.2f} (least, median, most)")


def _answers(port: int) -> bool:
    try:
        return asyncio.run(requests_per_second(port, [post("/", b"{}")])) > 0
    except OSError:
        return False


def _signed(number: int) -> bytes:
    event = {
        "id": f"evt_bench_{number}",
        "object": "event",
        "type": "price.created",
        "data": {"object": {"id": PADDING}},
    }
    body = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(body, SANDBOX_WEBHOOK_SECRET)
    return post(WEBHOOKS, body.encode(), Stripe_Signature=header)


def crediting(stack: Stack, events: int) -> None:
    with stack.begin() as session:
        session.execute(text("DELETE FROM webhook_event"))
    stack.start("webhooks")
    rates = []
    for number in range(ROUNDS):
        stack.processes["webhooks"].signal_all(signal.SIGSTOP)
        add_backlog(stack.begin, stack.settings, events=events, students=97, name=f"backlog{number}")
        stack.processes["webhooks"].signal_all(signal.SIGCONT)
        start = time.perf_counter()
        eventually(lambda: stack.scalar("SELECT count(*) FROM webhook_event WHERE due_at IS NOT NULL") == 0, 120)
        rates.append(events / (time.perf_counter() - start))
    bare = [_bare(stack, events) for _ in range(ROUNDS)]
    ratios = [mine / theirs for mine, theirs in zip(rates, bare, strict=True)]
    report("credited by the webhooks process", rates, "bare loop, two connections", bare, ratios)
    assert stack.scalar("SELECT count(*) FROM violation") == 0


def _bare(stack: Stack, events: int) -> float:
    url = stack.settings.database_url
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS bare, bare_entry")
        connection.execute("CREATE TABLE bare (id int PRIMARY KEY, done bool)")
        connection.execute("INSERT INTO bare SELECT n, false FROM generate_series(1, %s) AS n", [events])
        connection.execute("CREATE TABLE bare_entry (id int PRIMARY KEY, minutes int)")
    start = time.perf_counter()
    threads = [threading.Thread(target=_loop, args=(url,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return events / (time.perf_counter() - start)


def _loop(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(BARE).rowcount:
            pass


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
