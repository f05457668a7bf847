"""The page of operations in a real browser: it shows what is so, by itself, and says when it cannot."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from tests.browser.conftest import NewPage, hindrances
from tests.support.stack import Stack
from web.admin.sessions import COOKIE

SOON = 20_000
"""The page asks each five seconds, and a busy machine answers when it can."""

FAILED = text("""
    INSERT INTO webhook_event
        (stripe_event_id, type, body, request_id, state, received_at, attempts, deferrals, last_error, gave_up_at)
    VALUES (:event, 'any', '{}', 'request-of-a-test', 'dead', clock_timestamp(), 1, 0, 'Any: told', clock_timestamp())
""")


def opened(page: Page, stack: Stack, *roles: str) -> Page:
    """The page as the platform opens it for its staff."""
    token = stack.bearer("bo@example.com", "bo", *(roles or ("staff",)))["Authorization"].removeprefix("Bearer ")
    page.goto(f"/operations/#token={token}")
    return page


def tile(page: Page, name: str) -> str:
    return page.locator("#glance > div", has_text=name).locator("dd").inner_text()


@contextmanager
def without(stack: Stack, name: str) -> Iterator[None]:
    stack.processes[name].kill()
    try:
        yield
    finally:
        stack.start(name)


def bought_and_paid(stack: Stack) -> None:
    accepted = stack.buy()
    stack.pay(stack.wait_for(accepted, "pending"))
    stack.wait_for(accepted, "completed")


def test_it_shows_the_pipeline_and_a_purchase_by_itself(page: Page, stack: Stack) -> None:
    """Nobody presses a button to learn that people buy again."""
    before = stack.scalar("SELECT count(*) FROM purchase WHERE state = 'completed'")
    opened(page, stack)
    expect(page.locator("#state")).to_have_text("Up to date.", timeout=SOON)
    for name in ("payments", "webhooks", "hours", "maintenance"):
        expect(page.locator("#workers")).to_contain_text(f"{name}@", timeout=SOON)
    expect(page.locator("#purchases tr", has_text="completed").locator("td")).to_have_text(str(before), timeout=SOON)
    bought_and_paid(stack)
    expect(page.locator("#purchases tr", has_text="completed").locator("td")).to_have_text(
        str(before + 1), timeout=SOON
    )
    expect(page.locator("#events tr", has_text="applied").first).to_be_visible(timeout=SOON)
    assert re.match(r"[0-9.]+ (ms|s)", tile(page, "Webhook lag"))


def test_the_token_leaves_the_address_and_stays_in_the_tab(page: Page, stack: Stack) -> None:
    """An address is copied, shown on a screen and kept in a history; a tab is closed."""
    opened(page, stack)
    expect(page.locator("#numbers")).to_be_visible()
    assert page.url == f"{stack.url}/operations/"
    page.reload()
    expect(page.locator("#state")).to_have_text("Up to date.", timeout=SOON)


def test_it_goes_on_after_the_door_was_away(page: Page, stack: Stack) -> None:
    """A page that stands on a screen in the office outlives every deployment."""
    opened(page, stack)
    expect(page.locator("#state")).to_have_text("Up to date.", timeout=SOON)
    with without(stack, "web"):
        expect(page.locator("#state")).to_contain_text("does not answer", timeout=SOON)
        expect(page.locator("#numbers")).to_be_visible()
        expect(page.locator("#age")).to_contain_text("old", timeout=40_000)
    expect(page.locator("#state")).to_have_text("Up to date.", timeout=70_000)
    expect(page.locator("#age")).not_to_contain_text("old")


def test_a_worker_that_dies_is_missed(page: Page, stack: Stack) -> None:
    opened(page, stack)
    expect(page.locator("#workers")).to_contain_text("hours@", timeout=SOON)
    with without(stack, "hours"):
        expect(page.locator("#workers")).not_to_contain_text("hours@", timeout=SOON)
    expect(page.locator("#workers")).to_contain_text("hours@", timeout=SOON)


def test_it_asks_who_somebody_is_and_tells_strangers_nothing(page: Page, stack: Stack) -> None:
    """The frame is for everybody, the numbers are for staff."""
    page.goto("/operations/")
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.locator("#numbers")).to_be_hidden()
    token = stack.bearer("ana@example.com", "ana", "student")["Authorization"].removeprefix("Bearer ")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#state")).to_have_text("This is for staff only.")
    expect(page.locator("#numbers")).to_be_hidden()
    token = stack.bearer("bo@example.com", "bo", "admin")["Authorization"].removeprefix("Bearer ")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator("#numbers")).to_be_visible()


def test_whoever_has_signed_in_to_the_admin_goes_on_to_it(page: Page) -> None:
    """From its menu and back, without a token; and whoever comes here first is led through the sign-in."""
    page.goto("/operations/")
    page.get_by_role("link", name="Sign in to the admin").click()
    signed_in(page)
    expect(page.locator("#state")).to_have_text("Up to date.", timeout=SOON)
    page.goto("/admin/")
    page.locator("aside").get_by_role("link", name="Operations").click()
    expect(page.locator("#numbers")).to_be_visible(timeout=SOON)
    expect(page.get_by_label("Token")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_copied_cookie_ends_with_the_sign_in(page: Page, new_page: NewPage) -> None:
    """Who signs out has signed out everywhere, on the screen that still shows the figures too."""
    page.goto("/admin/")
    signed_in(page)
    expect(page.get_by_role("heading", name="Billing", level=1).last).to_be_visible()
    copied = new_page()
    copied.context.add_cookies([one for one in page.context.cookies() if one.get("name") == COOKIE])  # type: ignore[misc]
    copied.goto("/operations/")
    expect(copied.locator("#state")).to_have_text("Up to date.", timeout=SOON)
    page.get_by_label("Open user menu").locator("visible=true").click()
    page.get_by_role("button", name="Logout").locator("visible=true").click()
    expect(page.get_by_label("Token")).to_be_visible()
    expect(copied.locator("#state")).to_have_text("Sign in to see the numbers.", timeout=SOON)
    expect(copied.locator("#numbers")).to_be_hidden()
    for asked in ("/admin/", "/admin/sign-in/list"):
        copied.goto(asked)
        expect(copied.get_by_label("Token")).to_be_visible()


def signed_in(page: Page) -> None:
    page.get_by_label("Name").fill("Eva")
    page.get_by_label("Role").select_option("admin")
    page.get_by_role("button", name="Sign in as this role").click()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_everybody_can_use_it(new_page: NewPage, stack: Stack, size: str, dark: bool) -> None:
    """Signed out and signed in, with what needs attention, and with the numbers behind the curves."""
    page = new_page(size, dark=dark)
    page.goto("/operations/")
    expect(page.get_by_label("Token")).to_be_visible()
    assert hindrances(page) == []
    with stack.begin() as session:
        session.execute(FAILED, {"event": f"evt_of_{size}_{dark}"})
    opened(page, stack)
    expect(page.locator("#attention .bad").first).to_contain_text("gave up", timeout=SOON)
    expect(page.locator(".chart svg")).to_have_count(4, timeout=SOON)
    for table in page.locator("#charts summary").all():
        table.click()
    expect(page.locator("#charts tbody tr").first).to_be_visible()
    assert hindrances(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it can be read without scrolling aside"
