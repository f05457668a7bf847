"""From a lot that ends soon, or a balance that runs out, to a mail, through the real workers."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from billing.ids import new_id
from billing.messages import SendNotification, WarnStudents
from billing.ticks import DailyAt
from tests.support.database import TEMPLATE
from tests.support.factories import add_student
from tests.support.notes import note_low
from tests.support.records import DAY, bought, credited
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import Stack, eventually, running_stack
from workers.hints import Publisher
from workers.schedule import BY_KIND


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Only who sends mail is needed."""
    name = "flow_warnings"
    postgres.create_database(name, template=TEMPLATE)
    folder: Path = tmp_path_factory.mktemp(name)
    with running_stack(postgres, valkey, folder, "maintenance", DATABASE_URL=postgres.url(name)) as running:
        yield running


def outbox(stack: Stack, address: str) -> list[EmailMessage]:
    folder = stack.settings.state_dir / "outbox"
    found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in folder.glob("*.eml")]
    return [mail for mail in found if address in str(mail["To"])]


def test_a_lot_that_expires_in_three_days_is_told_by_mail(stack: Stack) -> None:
    """What beat asks for once a day ends as a file in the outbox, whatever is asked again."""
    address, now = f"{new_id().hex[:12]}@example.com", datetime.now(UTC)
    student = add_student(stack.begin, address, at=now)
    bought(stack.begin, student, at=now, expires_at=now + 3 * DAY)
    publisher = Publisher(stack.settings)
    publisher.publish([WarnStudents()])
    eventually(lambda: bool(outbox(stack, address)), 20, lambda: stack.processes["maintenance"].log[-3000:])
    (mail,) = outbox(stack, address)
    # Two at midnight, where the worker's day is the one after ours.
    assert re.fullmatch(r"10\.00 hours can be used until .* \(in [23] days\)", mail["Subject"])
    state = "SELECT state FROM notification WHERE student_id = :id"
    eventually(lambda: stack.scalar(state, id=student) == "sent", 10)
    notification = stack.scalar("SELECT id FROM notification WHERE student_id = :id", id=student)
    publisher.publish([WarnStudents(), SendNotification(notification_id=notification)])
    publisher.close()
    later = add_student(stack.begin, f"later-{address}", at=now)
    credited(stack.begin, later, at=now, expires_at=None, minutes=60, source=f"grant:{address}")
    note_low(stack.begin, later, now=now)  # nobody is asked to send it: the sweeper of overdue work finds it
    eventually(lambda: bool(outbox(stack, f"later-{address}")), 20)
    assert len(list((stack.settings.state_dir / "outbox").iterdir())) == 2
    assert address not in stack.processes["maintenance"].log


def test_students_are_warned_in_the_morning_of_the_business() -> None:
    assert BY_KIND[WarnStudents].ticks == DailyAt(time(9))
