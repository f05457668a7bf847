"""Hours: how long a platform waits for one lesson, how many one door accepts, how many of one student are decided.

    python -m tests.bench.hours [LESSONS]

The first is through a real pipeline that has nothing else to do; the last is a backlog of one student's lessons, which
all want the same balance.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from tests.bench.load import post
from tests.bench.yardstick import compare, running_door
from tests.support.database import TEMPLATE, fill_template
from tests.support.factories import add_student
from tests.support.hours import add_lot
from tests.support.servers import running_postgres, running_valkey
from tests.support.stack import PREFIX, Stack, eventually, running_stack

CONSUMPTIONS = f"{PREFIX}/hour-consumptions/"
STUDENTS = 200
PAUSE_SECONDS = 0.02
"""Between two lessons that are waited for, so that each finds everything at rest."""

BACKLOG = text("""
    WITH made AS (
        INSERT INTO consumption (id, group_id, student_id, session_id, mode, minutes, state, caller_sub, requested_at)
        SELECT id, id, :student, 'backlog-' || n, 'consume', 1, 'requested', 'platform', now()
        FROM (SELECT gen_random_uuid() AS id, n FROM generate_series(1, :lessons) AS n) AS wished
        RETURNING id
    )
    INSERT INTO consumption_act (id, act, group_id, scope, request_id, state, requested_at, due_at, hint_at)
    SELECT gen_random_uuid(), 'book', id, 'user:platform', 'backlog', 'requested', now(), now(), now() FROM made
""")


def main(lessons: int) -> None:
    with tempfile.TemporaryDirectory() as folder, running_hours(Path(folder)) as stack:
        _wait_one_by_one(stack, lessons)
        _decide_a_backlog(stack, lessons * 10)
    with tempfile.TemporaryDirectory() as folder, running_door(Path(folder)) as stack:
        _add_students(stack)
        compare(
            "lessons accepted by one door", stack, Path(folder), lambda number: _wishes(stack, number, lessons * 3), 180
        )
        rows = stack.scalar("SELECT count(*) FROM consumption")
        assert rows == stack.scalar("SELECT count(DISTINCT session_id) FROM consumption") > 0
        print(f"  {rows:,} rows")


@contextmanager
def running_hours(folder: Path) -> Iterator[Stack]:
    """A door and a worker for hours, on servers of their own."""
    with running_postgres() as postgres, running_valkey() as valkey:
        postgres.create_database(TEMPLATE)
        fill_template(postgres.url(TEMPLATE))
        url = postgres.url(TEMPLATE)
        with running_stack(postgres, valkey, folder, "web", "hours", DATABASE_URL=url) as stack:
            yield stack


def _wait_one_by_one(stack: Stack, lessons: int) -> None:
    _student(stack, "waiting")
    headers = {**stack.bearer("platform@example.com", "platform", "service"), "Prefer": "wait=10"}
    seconds = []
    for number in range(lessons):
        body = {"student": {"external_id": "waiting"}, "session_id": f"waited-{number}", "minutes": 1}
        began = time.perf_counter()
        answer = stack.door.post(CONSUMPTIONS, json=body, headers=headers)
        seconds.append(time.perf_counter() - began)
        assert answer.status_code == 201, answer.text
        time.sleep(PAUSE_SECONDS)
    cuts = statistics.quantiles(seconds[10:], n=100)
    shown = ", ".join(f"p{at} {cuts[at - 1] * 1000:.1f} ms" for at in (50, 95, 99))
    print(f"one lesson, waited for in an idle pipeline: {shown}")


def _decide_a_backlog(stack: Stack, lessons: int) -> None:
    worker, student_id = stack.processes["hours"], _student(stack, "hot")
    worker.stop()
    with stack.begin() as session:
        session.execute(BACKLOG, {"student": student_id, "lessons": lessons})
    worker.start()
    eventually(lambda: _open(stack) < lessons, 60)
    began, before = time.perf_counter(), _open(stack)
    eventually(lambda: _open(stack) == 0, 600)
    print(f"lessons of one student decided from a backlog: {before / (time.perf_counter() - began):,.0f}/s")
    assert stack.scalar("SELECT minutes_consumed FROM student_balance WHERE student_id = :id", id=student_id) == lessons
    assert stack.scalar("SELECT count(*) FROM violation") == 0


def _open(stack: Stack) -> int:
    return int(stack.scalar("SELECT count(*) FROM consumption_act WHERE due_at IS NOT NULL"))


def _student(stack: Stack, name: str) -> int:
    now = datetime.now(UTC)
    student_id = add_student(stack.begin, f"{name}@example.com", at=now, external_id=name)
    add_lot(stack.begin, student_id, 1_000_000, at=now, expires_at=None)
    return student_id


def _add_students(stack: Stack) -> None:
    for number in range(STUDENTS):
        _student(stack, f"student-{number}")


def _wishes(stack: Stack, number: int, lessons: int) -> list[bytes]:
    bearer = stack.bearer("platform@example.com", "platform", "service")["Authorization"]
    return [_wish(index % STUDENTS, f"{number}-{index}", bearer) for index in range(lessons)]


def _wish(student: int, session_id: str, bearer: str) -> bytes:
    body = {"student": {"external_id": f"student-{student}"}, "session_id": session_id, "minutes": 90}
    return post(CONSUMPTIONS, json.dumps(body).encode(), Authorization=bearer)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
