"""Buying in a browser: whatever happens on the way, a purchase is made once, paid once, and seen through."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.browser.buying import (
    DECLINED,
    GOOD,
    MONTHLY,
    SECURE,
    STANDARD,
    begin,
    open_checkout,
    pay,
    say_who,
    see_hours,
)
from tests.browser.conftest import NewPage
from tests.support.stack import Stack

ROWS = "SELECT count(*) FROM purchase WHERE buyer_email = :email"


@contextmanager
def stopped(stack: Stack, *names: str) -> Iterator[None]:
    """Killed as a machine that dies, and there again afterwards."""
    for name in names:
        stack.processes[name].kill()
    try:
        yield
    finally:
        stack.start(*names)


def steps(page: Page) -> list[str]:
    return page.locator("#timeline .done .step, #timeline .bad .step").all_inner_texts()


def test_a_good_card_brings_the_hours(page: Page, stack: Stack) -> None:
    """From the plan to the hours without a call to anybody but the door and the sandbox."""
    page.goto("/")
    expect(page).to_have_url(f"{stack.url}/shop/")
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Standard Package"))
    expect(card).to_contain_text("€140.00")
    card.get_by_role("link", name="Choose this plan").click()
    say_who(page, "good@example.com")
    pay(page)
    see_hours(page)
    assert steps(page) == ["Purchase accepted", "Payment prepared", "Payment received", "Hours credited"]
    assert stack.hours("good@example.com", "good") == "10.00"
    page.get_by_role("link", name="Go to your account").click()
    expect(page).to_have_url(f"{stack.url}/account/")


def test_after_a_declined_card_another_one_pays_the_same_purchase(page: Page, stack: Stack) -> None:
    begin(page, "declined@example.com")
    pay(page, DECLINED)
    expect(page.get_by_role("alert").filter(has_text="declined")).to_be_visible()
    expect(page.locator("#timeline")).to_contain_text("Payment did not succeed")
    pay(page, GOOD)
    see_hours(page)
    assert stack.scalar(ROWS, email="declined@example.com") == 1
    assert stack.hours("declined@example.com", "declined") == "10.00"


def test_a_bank_that_asks_is_answered_and_the_buyer_comes_back(page: Page, stack: Stack) -> None:
    """Nothing of the payment is left in the address, where it would be copied, kept and logged."""
    begin(page, "secure@example.com")
    pay(page, SECURE)
    page.get_by_role("button", name="Complete authentication").click()
    see_hours(page)
    expect(page).to_have_url(f"{stack.url}/shop/checkout/{STANDARD}/")


def test_a_bank_that_refuses_leaves_the_buyer_another_card(page: Page) -> None:
    begin(page, "refused@example.com")
    pay(page, SECURE)
    page.get_by_role("button", name="Fail authentication").click()
    expect(page.get_by_role("alert").filter(has_text="did not approve")).to_be_visible()
    pay(page, GOOD)
    see_hours(page)


def test_a_reload_goes_on_with_the_same_purchase(page: Page, stack: Stack) -> None:
    """Before the payment, and when all is done."""
    begin(page, "reload@example.com")
    page.reload()
    pay(page)
    see_hours(page)
    page.reload()
    see_hours(page)
    assert stack.scalar(ROWS, email="reload@example.com") == 1


def test_a_reload_before_the_answer_is_the_same_purchase(page: Page, stack: Stack) -> None:
    """The door has accepted it, and the page never heard of it."""
    open_checkout(page)
    page.route("**/purchase/initiate/", lambda route: (route.fetch(), route.abort())[-1])
    say_who(page, "unheard@example.com")
    expect(page.get_by_role("alert")).to_be_visible()
    page.unroute("**/purchase/initiate/")
    page.reload()
    expect(page.get_by_label("E-mail")).to_have_value("unheard@example.com")
    page.get_by_role("button", name="Continue to payment").click()
    pay(page)
    see_hours(page)
    assert stack.scalar(ROWS, email="unheard@example.com") == 1


def test_a_double_click_is_one_purchase(page: Page, stack: Stack) -> None:
    open_checkout(page)
    page.get_by_label("Name").fill("Ana")
    page.get_by_label("E-mail").fill("double@example.com")
    page.get_by_role("button", name="Continue to payment").dblclick()
    expect(page.get_by_label(GOOD)).to_be_visible()
    assert stack.scalar(ROWS, email="double@example.com") == 1


def test_workers_killed_in_the_middle_are_waited_for(page: Page, stack: Stack) -> None:
    """First the one that makes the payment, then the one that hears that it was made."""
    open_checkout(page)
    with stopped(stack, "payments"):
        say_who(page, "killed@example.com")
        expect(page.get_by_role("status").filter(has_text="its payment is being prepared")).to_be_visible()
    expect(page.get_by_label(GOOD)).to_be_visible()
    with stopped(stack, "webhooks"):
        pay(page)
        expect(page.get_by_text("its confirmation is on the way")).to_be_visible()
    see_hours(page)
    assert stack.hours("killed@example.com", "killed") == "10.00"


def test_the_timeline_is_taken_up_again_after_the_door_was_away(page: Page, stack: Stack) -> None:
    """What happened meanwhile is told once."""
    begin(page, "restart@example.com")
    with stopped(stack, "web"):
        expect(page.get_by_text("The connection was lost")).to_be_visible()
    expect(page.get_by_text("The connection was lost")).to_be_hidden()
    pay(page)
    see_hours(page)
    assert steps(page) == ["Purchase accepted", "Payment prepared", "Payment received", "Hours credited"]


def test_a_subscription_is_bought_like_a_package(page: Page, stack: Stack) -> None:
    begin(page, "monthly@example.com", MONTHLY)
    pay(page)
    see_hours(page, 30)
    assert stack.hours("monthly@example.com", "monthly") == "30.00"


def test_an_unpaid_purchase_can_be_called_off(page: Page) -> None:
    begin(page, "off@example.com")
    page.get_by_role("button", name="Cancel the purchase").click()
    expect(page.get_by_role("heading", name="The purchase was cancelled")).to_be_visible()
    page.get_by_role("button", name="Start again").click()
    begin(page, "off@example.com")


def test_complaints_stand_beside_their_fields(page: Page) -> None:
    """And the reader is taken to the first one."""
    open_checkout(page)
    say_who(page, "no address", name="4711")
    for label, complaint in (("Name", "may have letters"), ("E-mail", "must be an e-mail address")):
        expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label(label)).to_have_accessible_description(re.compile(complaint))
    expect(page.get_by_label("Name")).to_be_focused()


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_a_buyer_needs_no_mouse(new_page: NewPage, size: str) -> None:
    """Each step takes the reader along: the keyboard goes on where the page does."""
    page = new_page(size)
    open_checkout(page)
    page.get_by_label("Name").focus()
    page.keyboard.type("Ana")
    page.keyboard.press("Tab")
    page.keyboard.type(f"keys-{size}@example.com")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Payment")).to_be_focused()
    expect(page.get_by_label(GOOD)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pay €")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="10 hours are yours")).to_be_focused()


def test_nothing_secret_is_in_an_address(page: Page) -> None:
    """Addresses are kept in histories and logs."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    begin(page, "secret@example.com")
    token = page.evaluate("JSON.parse(sessionStorage.getItem('purchase:2')).accessToken")
    pay(page)
    see_hours(page)
    ours = [url for url in asked if "/v1/" not in url]  # Stripe's own script sends its client secret so
    assert ours
    assert not any(token in url or "_secret_" in url or "?" in url for url in ours)
