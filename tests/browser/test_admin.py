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
    "a search that finds nothing": lambda _: "refund/list?q=nobody",
    "a filtered list": lambda _: "purchase/list?filter=state__eq=completed",
    "refund": lambda shown: f"acts/refund?of={shown.transaction}",
    "extend": lambda shown: f"acts/extend?of={shown.transaction}",
    "grant": lambda shown: f"acts/grant?of={shown.student}",
    "take back": lambda shown: f"acts/correct?of={shown.student}",
    "replay": lambda shown: f"acts/replay?of=webhook_event:{shown.event_number}",
    "put aside": lambda shown: f"acts/park?of=webhook_event:{shown.event_number}",
    "discard": lambda shown: f"acts/discard?of=webhook_event:{shown.event_number}",
    "close a finding": lambda shown: f"acts/close-finding?of={shown.finding}",
    "close a case": lambda shown: f"acts/close-case?of={shown.case}",
    "new plan": lambda _: "acts/create-plan?of=",
    "other terms": lambda _: "acts/edit-plan?of=2",
    "show plans": lambda _: "acts/set-plans?of=1,2,3",
    "a balance explained": lambda shown: f"student/detail?pk={shown.student}&at=2026-01-01",
    "no date": lambda shown: f"student/detail?pk={shown.student}&at=x",
    "what became of an act": lambda shown: f"acts/done/{shown.act}",
    "no row": lambda _: "purchase/detail?pk=none",
    "no page": lambda _: "nothing",
    "no filter": lambda _: "purchase/list?filter=price_cents__eq=x",
}
"""Besides the first page, every list and a row of each."""

SMALL = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary")].filter((node) => {
    const { width, height } = node.getBoundingClientRect();
    const isWithinWords = node.tagName === "A" && ["P", "LI", "TD", "DD", "SPAN"].includes(node.parentElement.tagName);
    return width && height && !isWithinWords && (width < 24 || height < 24);
}).map((node) => node.outerHTML.slice(0, 100))"""
"""What a finger misses (WCAG 2.5.8): smaller than 24 by 24, and not within words."""


def faults(page: Page) -> list[str]:
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    small = [f"small: {one}" for one in page.evaluate(SMALL)]
    return [*hindrances(page), *small, *(["wider than its window"] if page.evaluate(wider) else [])]


def lists_of(page: Page) -> list[str]:
    """The addresses that the first page leads to."""
    page.goto("/admin/")
    return [str(link.get_attribute("href")) for link in page.locator(".admin-links a").all()]


ONE_LIST_OF_AT_NIGHT = 3
"""All lists are one template, and all rows are one."""


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("phone", True)], ids=["day", "night"])
def test_nothing_keeps_people_from_a_page(new_page: NewPage, stack: Stack, shown: Shown, size: str, dark: bool) -> None:
    """Screen readers, keys, fingers and weak eyes come along; no page is wider than its window."""
    page = new_page(size, dark=dark)
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        assert page.evaluate("document.documentElement.dataset.bsTheme") == ("dark" if dark else "light")
        found[name] = faults(page)

    page.goto("/admin/")
    look("sign-in")
    sign_in(page, stack, "admin")
    look("home")
    lists = lists_of(page)
    for address in lists[:: ONE_LIST_OF_AT_NIGHT if dark else 1]:
        page.goto(address)
        look(address)
        if row := page.get_by_label("View").first.get_attribute("href"):
            page.goto(row)
            look(f"a row of {address}")
    for name, address_of in PAGES.items():
        page.goto(f"/admin/{address_of(shown)}")
        look(name)
    assert {name: what for name, what in found.items() if what} == {}
    assert len(lists) >= 21
    assert len(found) >= len(PAGES) + (14 if dark else 42)


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("phone", True)], ids=["day", "night"])
def test_nothing_keeps_people_from_what_unfolds(
    new_page: NewPage, stack: Stack, shown: Shown, size: str, dark: bool
) -> None:
    page = sign_in(new_page(size, dark=dark), stack, "admin")
    page.emulate_media(reduced_motion="reduce")
    for button, inside in (("Filters", "Apply filters"), ("Columns", "Apply"), ("Export", "Filename")):
        page.goto("/admin/purchase/list")
        page.get_by_text(button, exact=True).first.click()
        expect(page.get_by_text(inside, exact=True).locator("visible=true").first).to_be_visible()
        assert (button, faults(page)) == (button, [])
    page.goto("/admin/purchase/list")
    page.get_by_label("Select all rows").check()
    page.get_by_role("button", name="With selected").click()
    expect(page.get_by_text("Extend…")).to_be_visible()
    assert faults(page) == []


def test_the_first_tab_leads_past_the_menu(page: Page, stack: Stack) -> None:
    sign_in(page, stack, "staff")
    page.goto("/admin/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


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
    expect(page.get_by_role("heading", name=f"Purchase {shown.transaction}")).to_be_visible()
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
