"""A long list, from the page that asks for it to the file, through workers of which one is killed."""

import csv
import io
import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.support.database import TEMPLATE
from tests.support.exports import add_students
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import Stack, eventually, running_stack

ROWS = 25_000
CSRF = re.compile(r'name="csrftoken" value="([^"]+)"')
BEING_WRITTEN = "SELECT count(*) FROM export WHERE lease_token IS NOT NULL OR rows > 0"


@pytest.fixture
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    postgres.create_database("flow_of_exports", template=TEMPLATE)
    folder, url = tmp_path_factory.mktemp("flow_of_exports"), postgres.url("flow_of_exports")
    with running_stack(postgres, valkey, folder, "web", "maintenance", DATABASE_URL=url) as running:
        yield running


def test_a_worker_that_is_killed_in_the_middle_costs_no_row(stack: Stack) -> None:
    """Whoever asked sees it ready a few seconds later, with every row once, and has not asked again."""
    add_students(stack.begin, ROWS)
    browser = _signed_in(stack)
    page = browser.get("/admin/student/list").text
    query = "name=export&all=1&_list_query="
    form = {"csrftoken": _mark(page), "format": "csv", "scope": "selected"}
    answer = browser.post(f"/admin/_api/student/action?{query}", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/exports"), answer.text[-2000:]
    worker = stack.processes["maintenance"]
    eventually(lambda: stack.scalar(BEING_WRITTEN) == 1, 20, lambda: worker.log[-3000:])
    worker.kill()
    assert stack.scalar("SELECT count(*) FROM export WHERE state = 'ready'") == 0
    stack.start("maintenance")
    eventually(lambda: bool(_news(browser)["ready"]), 60, lambda: worker.log[-3000:])
    (ready,) = _news(browser)["ready"]
    assert ready["title"] == "Students"
    rows = list(csv.DictReader(io.StringIO(browser.get(ready["url"]).text, newline="")))
    assert [row["Number"] for row in rows] == [str(number) for number in range(1, ROWS + 1)]
    assert {row["E-mail"] for row in rows} == {f"{number}@example.com" for number in range(1, ROWS + 1)}
    assert stack.scalar("SELECT count(*) FROM export_part") == 2
    assert _news(browser) == {"ready": [], "unfinished": 0}
    browser.close()


def _signed_in(stack: Stack) -> httpx2.Client:
    browser = httpx2.Client(base_url=stack.url, timeout=20)
    token = stack.bearer("boss@example.com", "boss", "admin")["Authorization"].removeprefix("Bearer ")
    form = {"csrftoken": _mark(browser.get("/admin/login").text), "token": token}
    assert browser.post("/admin/login", data=form).status_code == 303
    return browser


def _mark(page: str) -> str:
    found = CSRF.search(page)
    assert found, page[:2000]
    return found[1]


def _news(browser: httpx2.Client) -> dict[str, list[dict[str, str]]]:
    answer = browser.get("/admin/exports/news")
    assert answer.status_code == 200, answer.text
    found: dict[str, list[dict[str, str]]] = answer.json()
    return found
