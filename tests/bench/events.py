"""Events: accepted by one door process, and credited by the workers from a backlog.

    python -m tests.bench.events [EVENTS]

The door is measured in turn with a Starlette route that does nothing (the same server, the same client); crediting with
a bare loop of the same statements' minimum, two connections at once: one UPDATE ... RETURNING and one INSERT a batch.
"""

import json
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import stripe
from sqlalchemy import text

from billing.config import SANDBOX_WEBHOOK_SECRET
from tests.bench.load import post
from tests.bench.yardstick import ROUNDS, compare, report, running_door
from tests.support.backlog import add_backlog
from tests.support.stack import WEBHOOKS, Stack, eventually

PADDING = "x" * 2_000
"""Brings an event to the 2.7 KB that Stripe's have."""

BARE = """
    WITH batch AS (
        SELECT id FROM bare WHERE NOT done ORDER BY id LIMIT 200 FOR UPDATE SKIP LOCKED
    ), taken AS (UPDATE bare SET done = true FROM batch WHERE bare.id = batch.id RETURNING bare.id)
    INSERT INTO bare_entry SELECT id, 600 FROM taken
"""


def main(events: int) -> None:
    with tempfile.TemporaryDirectory() as folder, running_door(Path(folder)) as stack:
        compare("events accepted by one door", stack, Path(folder), lambda number: _delivered(number, events), 2700)
        crediting(stack, events)


def _delivered(number: int, events: int) -> list[bytes]:
    return [_signed(number * events + index) for index in range(events)]


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
    report("credited by the webhooks process", rates, "bare loop, two connections", bare)
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
