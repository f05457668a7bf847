"""Work of any kind that nobody takes turns readiness red, and green again once it is done."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from billing.reads.readiness import OVERDUE_SECONDS
from tests.attack.open_rows import KINDS, make
from tests.attack.works import Works
from web.app import create_app

AGE = "UPDATE {table} SET due_at = clock_timestamp() - make_interval(secs => :seconds) WHERE id = :id"


@pytest.fixture(scope="module")
def door(works: Works) -> Iterator[TestClient]:
    """As a load balancer on the same machine asks."""
    with TestClient(create_app(works.settings), client=("127.0.0.1", 4711)) as client:
        yield client


@pytest.mark.parametrize("kind", KINDS)
def test_the_oldest_overdue_row_of_each_kind_turns_readiness_red(works: Works, door: TestClient, kind: str) -> None:
    """Whichever worker is missing, somebody must be told."""
    row = make(works, kind)
    for seconds, status in ((OVERDUE_SECONDS - 20, 200), (OVERDUE_SECONDS + 10, 503)):
        works.run(AGE.format(table=kind), seconds=seconds, id=row.id)
        answer = door.get("/readyz")
        assert answer.status_code == status
        assert answer.json()["oldest_overdue_seconds"] == pytest.approx(seconds, abs=15)
    assert answer.json()["checks"]["work"] is False
    works.work(row.hint)
    assert row.effects() == row.done
    assert door.get("/readyz").status_code == 200
