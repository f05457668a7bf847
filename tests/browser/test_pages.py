"""Every page for everybody: on a phone and a desk, by day and by night, with a screen reader and without a mouse."""

from collections.abc import Callable, Mapping

import pytest
from playwright.sync_api import Page, expect

from tests.browser.buying import (
    MONTHLY,
    all_is_shown,
    begin,
    open_checkout,
    pay,
    save_card,
    say_who,
    see_hours,
    sign_in,
)
from tests.browser.conftest import SIZES, NewPage, hindrances

EMAIL = "pages@example.com"


def plans(page: Page) -> None:
    page.goto("/shop/")
    expect(page.get_by_role("heading", name="Family Subscription")).to_be_visible()


def complaints(page: Page) -> None:
    open_checkout(page)
    say_who(page, "none", name="1")
    expect(page.get_by_text("must be an e-mail address")).to_be_visible()


def payment(page: Page) -> None:
    begin(page, EMAIL)


def bought(page: Page) -> None:
    pay(page)
    see_hours(page)


def gone(page: Page) -> None:
    page.goto("/shop/checkout/4711/")
    expect(page.get_by_role("alert")).to_be_visible()


def signed_out(page: Page) -> None:
    page.goto("/account/")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def account(page: Page) -> None:
    sign_in(page, EMAIL)


def new_card(page: Page) -> None:
    page.get_by_role("button", name="Add a card").click()
    expect(page.get_by_label("Card that pays")).to_be_visible()
    all_is_shown(page)


WALK: Mapping[str, Callable[[Page], None]] = {
    "plans": plans,
    "complaints": complaints,
    "payment": payment,
    "bought": bought,
    "gone": gone,
    "signed out": signed_out,
    "account": account,
    "a new card": new_card,
}
"""Each goes on where the one before it ended."""


def is_wider_than_its_screen(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_can_be_used_by_everybody(new_page: NewPage, dark: bool) -> None:
    """Contrast, names, roles and order (axe-core), and nothing that has to be scrolled sideways."""
    page = new_page(dark=dark)
    found: dict[str, list[str]] = {}
    for name, step in WALK.items():
        step(page)
        for size in SIZES:
            found[f"{name} on a {size}"] = faults(page, size)
    assert {where: what for where, what in found.items() if what} == {}
    assert len(found) == len(WALK) * 2


def faults(page: Page, size: str) -> list[str]:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    return [*hindrances(page), *(["wider than its screen"] if is_wider_than_its_screen(page) else [])]


def test_a_full_account_can_be_used_by_everybody(new_page: NewPage) -> None:
    """With a subscription, a card and the form that buys with it."""
    page = new_page("phone", dark=True)
    begin(page, "full@example.com", MONTHLY)
    pay(page)
    see_hours(page, 30)
    sign_in(page, "full@example.com")
    save_card(page)
    expect(page.get_by_role("button", name="Buy now")).to_be_visible()
    assert hindrances(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert not is_wider_than_its_screen(page)
    page.get_by_role("button", name="Cancel the subscription").click()
    assert hindrances(page) == []


def test_a_page_with_a_hindrance_is_found(page: Page) -> None:
    """A rule that cannot fail proves nothing."""
    plans(page)
    page.evaluate("document.querySelector('.brand img').removeAttribute('alt')")
    page.evaluate("document.querySelector('main').style.minWidth = '3000px'")
    assert len(hindrances(page)) == 1
    assert is_wider_than_its_screen(page)


def test_motion_can_be_done_without(new_page: NewPage) -> None:
    """What turns makes some people ill."""
    page = new_page()
    page.emulate_media(reduced_motion="reduce")
    begin(page, "still@example.com")
    turning = "getComputedStyle(document.querySelector('.timeline .next'), '::before').animationName"
    assert page.evaluate(turning) == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(turning) == "turn"


def test_the_first_tab_leads_past_the_header(page: Page) -> None:
    plans(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
