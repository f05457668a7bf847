"""From a payment to the file in the buyer's hands, through every process."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from billing.ids import new_id
from tests.support.database import TEMPLATE
from tests.support.receipts import lines_of
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, eventually, running_stack

RECEIPTS = f"{PREFIX}/student-balance/receipts/"
SELLER = {"SELLER_NAME": "Explicações Lda", "SELLER_VAT_NUMBER": "PT123456789", "VAT_RATE_PERCENT": "23"}


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """With the process that prints, and a seller who has a name and a rate."""
    postgres.create_database("flow_receipts", template=TEMPLATE)
    folder: Path = tmp_path_factory.mktemp("flow_receipts")
    names = ("sandbox", "web", "payments", "webhooks", "maintenance")
    with running_stack(
        postgres, valkey, folder, *names, DATABASE_URL=postgres.url("flow_receipts"), **SELLER
    ) as running:
        yield running


def receipts(stack: Stack, email: str) -> list[Mapping[str, Any]]:
    answer = stack.door.get(RECEIPTS, headers=stack.bearer(email, email))
    assert answer.status_code == 200, answer.text
    rows: list[Mapping[str, Any]] = answer.json()["results"]
    return rows


def bought(stack: Stack) -> str:
    """A paid package; the address it was bought for."""
    email = f"{new_id().hex[:12]}@example.com"
    accepted = stack.buy(email, **stack.bearer(email, email))
    stack.pay(stack.wait_for(accepted, "pending"))
    stack.wait_for(accepted, "completed")
    return email


def test_a_payment_has_a_receipt_within_seconds(stack: Stack) -> None:
    """Bought, paid, credited, printed, downloaded; somebody else gets nothing."""
    email = bought(stack)
    eventually(lambda: len(receipts(stack, email)) == 1, 15, lambda: stack.processes["maintenance"].log[-3000:])
    (row,) = receipts(stack, email)
    answer = stack.door.get(row["download_url"], headers=stack.bearer(email, email))
    lines = lines_of(answer.content)
    assert {row["receipt_number"], "Explicações Lda", email, "EUR 140.00", "EUR 26.18"} <= {*lines}
    assert stack.door.get(row["download_url"], headers=stack.bearer("eve@example.com", "eve")).status_code == 404


def test_receipts_that_a_killed_worker_left_are_issued_without_a_gap(stack: Stack) -> None:
    """Its claims lapse, and the next worker draws the numbers that were never drawn."""
    stack.processes["maintenance"].kill()
    emails = [bought(stack) for _ in range(3)]
    assert [receipts(stack, email) for email in emails] == [[], [], []]
    stack.start("maintenance")
    eventually(lambda: all(receipts(stack, email) for email in emails), 20)
    issued = "SELECT string_agg(serial::text, ',' ORDER BY serial) FROM receipt WHERE issued_at IS NOT NULL"
    count = stack.scalar("SELECT count(*) FROM receipt")
    assert stack.scalar(issued) == ",".join(str(serial) for serial in range(1, count + 1))
    assert stack.scalar("SELECT count(*) FROM dead_letter") == 0
