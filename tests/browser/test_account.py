"""An account in a browser: what its owner has, and what he can do about it without asking anybody."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.buying import (
    MONTHLY,
    SECURE,
    all_is_shown,
    begin,
    pay,
    save_card,
    see_hours,
    sign_in,
)
from tests.support.stack import PREFIX, Stack


def section(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def remaining(page: Page) -> Locator:
    return page.locator("#remaining")


def bought(page: Page, email: str, plan_id: int = 2, hours: int = 10) -> None:
    begin(page, email, plan_id)
    pay(page)
    see_hours(page, hours)


def test_an_account_shows_hours_lots_history_and_receipt(page: Page) -> None:
    """What a guest has bought for the address is there as soon as its owner signs in."""
    bought(page, "ana@example.com")
    sign_in(page, "ana@example.com")
    expect(remaining(page)).to_have_text("10")
    expect(section(page, "Hours")).to_contain_text(re.compile(r"10 of 10 hours left.*Use by \d+ \w+ \d{4}"))
    expect(section(page, "Purchases")).to_contain_text(re.compile(r"Standard Package.*€140\.00.*paid"))
    expect(section(page, "Movements of hours")).to_contain_text(re.compile(r"Credited.*\+10 h.*10 h after"))
    receipts = section(page, "Receipts").get_by_role("listitem")
    while not receipts.count():  # a worker prints it a moment after the payment
        page.reload()
        all_is_shown(page)
    with page.expect_download() as download:
        receipts.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename.startswith("R-")
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")


def test_cards_are_added_preferred_and_removed(page: Page) -> None:
    sign_in(page, "cards@example.com")
    save_card(page)
    expect(page.get_by_role("status").filter(has_text="The card was saved.")).to_be_focused()
    cards = section(page, "Cards").get_by_role("listitem")
    expect(cards).to_have_count(1)
    expect(cards).to_contain_text("Visa ending in 4242")
    expect(cards).to_contain_text("Default")
    save_card(page, SECURE)
    page.get_by_role("button", name="Complete authentication").click()
    expect(page).to_have_url(re.compile(r"/account/$"))
    expect(cards).to_have_count(2)
    page.get_by_role("button", name="Make Visa ending in 3220 the default card").click()
    expect(cards.filter(has_text="3220")).to_contain_text("Default")
    page.get_by_role("button", name="Remove Visa ending in 4242").click()
    page.get_by_role("button", name="Keep it as it is").click()
    expect(cards).to_have_count(2)
    page.get_by_role("button", name="Remove Visa ending in 4242").click()
    page.get_by_role("button", name="Remove the card").click()
    expect(cards).to_have_count(1)


def test_a_saved_card_buys_hours_with_one_click(page: Page) -> None:
    """Followed on the page until the hours are there."""
    sign_in(page, "topup@example.com")
    save_card(page)
    topup = section(page, "Quick top-up")
    topup.get_by_label("Package").select_option(label="Basic Package: 5 hours, €75.00")
    topup.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("status").filter(has_text="5 hours are yours.")).to_be_visible()
    expect(remaining(page)).to_have_text("5")
    expect(section(page, "Purchases")).to_contain_text("Basic Package")


def test_a_saved_card_that_is_refused_leaves_another_way_to_pay(page: Page, stack: Stack) -> None:
    """The same purchase, with its owner there to choose."""
    headers = {**stack.bearer("short@example.com", "short"), "Prefer": "wait=20"}
    card = {"payment_method_id": "pm_card_chargeCustomerFail"}
    assert stack.door.post(f"{PREFIX}/payment-methods/", json=card, headers=headers).status_code == 201
    sign_in(page, "short@example.com")
    section(page, "Quick top-up").get_by_role("button", name="Buy now").click()
    page.get_by_role("link", name="Pay it in another way").click()
    pay(page)
    see_hours(page)
    assert stack.scalar("SELECT count(*) FROM purchase WHERE caller_sub = 'short'") == 1


def test_a_subscription_is_paused_resumed_changed_and_cancelled(page: Page) -> None:
    bought(page, "sam@example.com", MONTHLY, 30)
    sign_in(page, "sam@example.com")
    mine = section(page, "Subscription")
    expect(mine).to_contain_text("Monthly Unlimited")
    expect(mine).to_contain_text("30 of 30 hours left")
    mine.get_by_role("button", name="Pause").click()
    expect(mine).to_contain_text("paused: nothing is charged")
    mine.get_by_role("button", name="Resume").click()
    expect(mine).to_contain_text("Next payment")
    mine.get_by_label("Another plan").select_option(label="Family Subscription, 50 hours, €299.00 a month")
    mine.get_by_role("button", name="Change", exact=True).click()
    expect(mine).to_contain_text(re.compile("From then on.*Family Subscription"))
    mine.get_by_role("button", name="Cancel the subscription").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(mine).to_contain_text("Ends on")
    expect(mine.get_by_role("button", name="Resume")).to_be_visible()


def test_history_has_pages(page: Page, stack: Stack) -> None:
    """Five rows at a time, however much there is."""
    for _ in range(6):
        stack.pay(stack.wait_for(stack.buy("pages@example.com"), "pending"))
    sign_in(page, "pages@example.com")
    expect(remaining(page)).to_have_text("60")
    moves = section(page, "Movements of hours")
    moves.get_by_role("button", name="Older").click()
    expect(moves).to_contain_text("Page 2 of 2")
    expect(moves.get_by_role("listitem")).to_have_count(1)
    moves.get_by_role("button", name="Newer").click()
    expect(moves.get_by_role("listitem")).to_have_count(5)


def test_a_handed_token_signs_in_and_leaves_the_address(page: Page, stack: Stack) -> None:
    """The platform links to the page; neither the address nor a log keeps the token."""
    token = stack.bearer("handed@example.com", "handed")["Authorization"].removeprefix("Bearer ")
    page.goto(f"/account/#token={token}")
    expect(page.get_by_text("Signed in as Ana, handed@example.com")).to_be_visible()
    assert page.url == f"{stack.url}/account/"
    page.reload()
    expect(page.get_by_text("Signed in as Ana, handed@example.com")).to_be_visible()
    assert token not in stack.processes["web"].log
    all_is_shown(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('token')") is None


@pytest.mark.parametrize("token", ["none", "a.b.c"])
def test_a_token_that_is_not_good_asks_to_sign_in_again(page: Page, token: str) -> None:
    page.goto(f"/account/#token={token}")
    expect(page.get_by_role("alert")).to_have_text("Your sign-in has ended. Please sign in again.")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
