"""A subscription's renewal that fails: its owner reads so, pays otherwise, and sees the hours."""

import re
from datetime import datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.buying import MONTHLY, all_is_shown, begin, pay, see_hours, sign_in
from tests.browser.conftest import NewPage, hindrances
from tests.browser.test_account import remaining, section
from tests.browser.test_pages import is_wider_than_its_screen
from tests.flows.subscribing import DAY, HOUR, WAIT, Time
from tests.support.stack import PREFIX, Stack

EMAIL = "due@example.com"
DUE = re.compile(r"The last payment of €199\.00 did not succeed\. It is tried again on \d+ \w+ \d{4}")


@pytest.fixture(scope="module")
def time(stack: Stack) -> Time:
    return Time(stack)


def test_a_renewal_that_failed_is_paid_with_another_card(new_page: NewPage, stack: Stack, time: Time) -> None:
    """On the account page alone, from the bad news to the hours, on a telephone in the dark."""
    page = new_page("phone", dark=True)
    begin(page, EMAIL, MONTHLY)
    pay(page)
    see_hours(page, 30)
    prefer_a_failing_card(page, stack)
    end = datetime.fromisoformat(subscription(stack)["current_period_end"])
    time.pass_at_once(end + 2 * HOUR)  # an invoice is a draft for an hour
    page.reload()
    all_is_shown(page)
    mine = section(page, "Subscription")
    expect(mine).to_contain_text("payment is due")
    expect(mine).to_contain_text(DUE)
    expect(remaining(page)).to_have_text("0")
    assert (hindrances(page), is_wider_than_its_screen(page)) == ([], False)
    mine.get_by_role("button", name="Pay now").click()
    expect(mine.get_by_role("alert")).to_contain_text("declined")
    mine.get_by_role("button", name="Pay with another card").click()
    pay(page)
    expect(page.get_by_role("status").filter(has_text="the hours of this period are here")).to_be_visible()
    expect(remaining(page)).to_have_text("30")
    expect(mine).to_contain_text("30 of 30 hours left")
    expect(mine.get_by_text("did not succeed")).to_have_count(0)
    assert datetime.fromisoformat(subscription(stack)["current_period_end"]) > end + 27 * DAY


def subscription(stack: Stack) -> dict[str, str]:
    found: dict[str, str] = stack.door.get(f"{PREFIX}/subscription/", headers=owner(stack)).json()["subscription"]
    return found


def owner(stack: Stack) -> dict[str, str]:
    return stack.bearer(EMAIL, EMAIL.partition("@")[0])


def prefer_a_failing_card(page: Page, stack: Stack) -> None:
    """One that can be saved, and from which nothing can be taken; its owner prefers it on the page."""
    sign_in(page, EMAIL)
    card = {"payment_method_id": "pm_card_chargeCustomerFail"}
    answer = stack.door.post(f"{PREFIX}/payment-methods/", json=card, headers={**owner(stack), **WAIT}, timeout=40)
    assert answer.status_code == 201, answer.text
    page.reload()
    all_is_shown(page)
    page.get_by_role("button", name=re.compile("Make Visa ending in 0341")).click()
    cards = section(page, "Cards").get_by_role("listitem")
    expect(cards.filter(has_text="0341")).to_contain_text("Default")
