"""A list of too many rows, exported from its page: followed, announced on whatever page is open, and fetched."""

import csv

from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage, hindrances
from tests.browser.test_admin import sign_in
from tests.support.exports import add_students
from tests.support.stack import Stack

ROWS = 10_050


def ask_for_all(page: Page) -> None:
    page.goto("/admin/student/list")
    page.get_by_label("Select all rows").check()
    page.get_by_role("link", name="Select all 10001 rows").click()
    page.get_by_text("Export", exact=True).first.click()
    page.get_by_text("All matching rows").click()
    page.locator("#actionSubmit").click()
    expect(page.get_by_role("heading", name="Exports")).to_be_visible()
    expect(page.get_by_text("Your export of Students is written by a worker")).to_be_visible()


def test_a_list_of_too_many_rows_is_announced_when_it_is_ready(new_page: NewPage, stack: Stack) -> None:
    """Whoever asked may look at other pages meanwhile; nothing is asked of him but to press once."""
    add_students(stack.begin, ROWS)
    page = sign_in(new_page("desktop"), stack, "staff")
    ask_for_all(page)
    expect(page.get_by_role("cell", name="ready", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_role("cell", name=f"{ROWS:,}")).to_be_visible()
    assert hindrances(page) == []
    page.goto("/admin/refund/list")
    news = page.locator("#admin-news")
    expect(news).to_contain_text("Your export of Students is ready.")
    assert hindrances(page) == []
    with page.expect_download() as download:
        news.get_by_role("link", name="Download it").click()
    assert download.value.suggested_filename.startswith("students-20")
    with download.value.path().open(encoding="utf-8", newline="") as file:
        numbers = [row["Number"] for row in csv.DictReader(file)]
    assert len(set(numbers)) == len(numbers) == ROWS
    page.goto("/admin/refund/list")
    expect(page.locator("#admin-news")).to_be_empty()


def test_the_page_of_exports_fits_a_phone_at_night(new_page: NewPage, stack: Stack) -> None:
    page = sign_in(new_page("phone", dark=True), stack, "admin")
    page.goto("/admin/exports")
    expect(page.get_by_role("heading", name="Exports")).to_be_visible()
    assert hindrances(page) == []
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0
