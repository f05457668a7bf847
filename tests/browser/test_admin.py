"""The admin as people see it: with keys or a mouse, on a telephone or a desk, by day and by night."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage, hindrances
from tests.support.stack import Stack
from tests.web.admin_rows import Shown, add_one_of_everything


def sign_in(page: Page, stack: Stack, *roles: str) -> Page:
    """By the platform's token, as it is pasted."""
    token = stack.bearer("boss@example.com", "boss", *roles)["Authorization"].removeprefix("Bearer ")
    page.goto("/admin/")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Billing", level=1).last).to_be_visible()
    return page


@pytest.fixture(scope="module")
def shown(stack: Stack) -> Shown:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    return add_one_of_everything(stack.begin, datetime.now(UTC) - timedelta(days=1))


PAGES: dict[str, Callable[[Shown], str]] = {
    "home": lambda _: "",
    "list": lambda _: "purchase/list",
    "detail": lambda shown: f"purchase/detail?pk={shown.purchase}",
    "form": lambda shown: f"acts/refund?of={shown.transaction}",
    "several": lambda shown: f"acts/extend?of={shown.transaction}",
    "plan": lambda _: "acts/edit-plan?of=2",
    "plans": lambda _: "plan/list",
    "preview": lambda shown: f"acts/replay?of=webhook_event:{shown.event_number}",
    "student": lambda shown: f"student/detail?pk={shown.student}&at=2026-01-01",
    "act": lambda shown: f"acts/done/{shown.act}",
    "row": lambda shown: f"act/detail?pk={shown.act}",
    "none": lambda _: "purchase/detail?pk=none",
}


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("phone", True)])
def test_nothing_keeps_people_from_a_page(new_page: NewPage, stack: Stack, shown: Shown, size: str, dark: bool) -> None:
    """Screen readers, keys and weak eyes come along; no page is wider than its window."""
    page = new_page(size, dark=dark)
    page.goto("/admin/")
    assert (page.url.rpartition("/admin/")[2], hindrances(page)) == (page.url.rpartition("/admin/")[2], [])
    sign_in(page, stack, "admin")
    for name, address in PAGES.items():
        page.goto(f"/admin/{address(shown)}")
        assert (name, hindrances(page)) == (name, [])
        assert page.evaluate("document.documentElement.dataset.bsTheme") == ("dark" if dark else "light")
        width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert (name, width) == (name, 0)


def test_a_list_works_by_keys_and_scripts_of_ours_alone(page: Page, stack: Stack, shown: Shown) -> None:
    """Search, columns, filters and a row, without a mouse and without an inline handler."""
    sign_in(page, stack, "staff")
    page.goto("/admin/purchase/list")
    page.get_by_label("Search in list").press_sequentially(shown.intent)
    page.get_by_label("Search in list").press("Enter")
    row = page.locator("tr[data-sa-pk]")
    expect(row).to_have_count(1)
    row.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Purchase {shown.purchase}")).to_be_visible()
    page.goto("/admin/purchase/list")
    page.get_by_role("button", name="Columns").click()
    page.locator(".column-visibility-toggle[value=buyer_name]").uncheck()
    page.get_by_role("button", name="Apply").first.click()
    page.wait_for_url("**cols=**")
    expect(page.locator("th[data-column=buyer_name]")).to_have_count(0)
    page.get_by_label("Rows of a page").select_option("50")
    page.wait_for_url("**page_size=50**")


def test_a_list_is_exported_from_its_page(page: Page, stack: Stack, shown: Shown) -> None:
    sign_in(page, stack, "staff")
    page.goto(f"/admin/purchase/list?q={shown.transaction}")
    page.get_by_text("Export", exact=True).first.click()
    with page.expect_download() as download:
        page.locator("#actionSubmit").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"{shown.transaction},completed,")


def test_a_role_is_named_in_development_and_the_door_shuts_behind_it(page: Page) -> None:
    page.goto("/admin/student/list")
    page.get_by_label("Name").fill("Eva")
    page.get_by_label("Role").select_option("admin")
    page.get_by_role("button", name="Sign in as this role").click()
    expect(page.get_by_role("heading", name="Students")).to_be_visible()
    page.get_by_label("Open user menu").locator("visible=true").click()
    page.get_by_role("button", name="Logout").locator("visible=true").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.goto("/admin/student/list")
    expect(page.get_by_label("Token")).to_be_visible()
