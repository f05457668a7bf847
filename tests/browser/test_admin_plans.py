"""What is for sale, changed on the pages of staff and seen on those of buyers, within two seconds."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser import buying
from tests.browser.conftest import NewPage
from tests.browser.test_account import remaining, section
from tests.browser.test_admin import sign_in
from tests.browser.test_admin_acts import ask, audited
from tests.support.stack import Stack, eventually

SECONDS = 2
NOTHING = "There is nothing for sale at the moment."


def card(shop: Page, name: str = "Standard Package") -> Locator:
    return shop.get_by_role("listitem").filter(has=shop.get_by_role("heading", name=name))


def shows(shop: Page, words: str) -> bool:
    """The shop as it is now, once it has asked what is for sale."""
    shop.goto("/shop/")
    expect(shop.locator("main [aria-busy]")).to_have_count(0)
    return words in shop.get_by_role("main").inner_text()


def test_a_new_price_is_for_those_who_come_after_it(page: Page, new_page: NewPage, stack: Stack) -> None:
    """Looked at first, made the next version, sold so within two seconds; who had begun pays what he was told."""
    early, late = new_page("phone"), new_page()
    buying.begin(early, "early@example.com")
    assert shows(late, "€140.00")
    sign_in(page, stack, "admin")
    page.goto("/admin/plan/list")
    page.get_by_role("row").filter(has_text="standard").get_by_label("Change").click()
    page.get_by_label("Price (€)").fill("151.00")
    page.get_by_role("button", name="Make this the next version").click()
    expect(page.get_by_label("Reason")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Reason").fill("A new year.")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("15.10")
    page.get_by_role("button", name="Make this the next version").click()
    expect(page.locator("#state")).to_have_text("Done")
    eventually(lambda: shows(late, "€151.00"), SECONDS, lambda: late.get_by_role("main").inner_text())
    expect(card(late)).to_contain_text("€15.10 an hour")
    assert audited(stack, "edit_plan") == ("boss", "A new year.", "done")
    buy_from(late, "late@example.com")
    buying.pay(early)
    buying.see_hours(early)
    for buyer, email, price in ((early, "early@example.com", "€140.00"), (late, "late@example.com", "€151.00")):
        buying.sign_in(buyer, email)
        expect(section(buyer, "Purchases")).to_contain_text(re.compile(f"Standard Package.*{price}.*paid"))
    charged = "SELECT price_cents FROM purchase WHERE buyer_email = :email"
    assert [stack.scalar(charged, email=f"{who}@example.com") for who in ("early", "late")] == [14_000, 15_100]


def buy_from(shop: Page, email: str) -> None:
    """The plan as it stands there, for the price that the button names."""
    card(shop).get_by_role("link", name="Choose this plan").click()
    buying.say_who(shop, email)
    shop.get_by_label(buying.GOOD).check()
    shop.get_by_role("button", name="Pay €151.00").click()
    buying.see_hours(shop)


def test_plans_are_hidden_and_shown_together(page: Page, new_page: NewPage, stack: Stack) -> None:
    """Nobody can choose what is hidden, on whatever page he stands; what was bought of it stays."""
    shop = new_page("phone")
    buying.begin(shop, "kept@example.com")
    buying.pay(shop)
    buying.see_hours(shop)
    sign_in(page, stack, "admin")
    set_all(page, "no", "Summer holidays.")
    eventually(lambda: shows(shop, NOTHING), SECONDS, lambda: shop.get_by_role("main").inner_text())
    assert audited(stack, "set_plans") == ("boss", "Summer holidays.", "done")
    expect(shop.get_by_role("link", name="Choose this plan")).to_have_count(0)
    shop.goto("/shop/checkout/2/")
    expect(shop.get_by_role("alert")).to_contain_text("not for sale any more")
    buying.sign_in(shop, "kept@example.com")
    expect(remaining(shop)).to_have_text("10")
    set_all(page, "yes", "They are over.")
    eventually(lambda: shows(shop, "Standard Package"), SECONDS, lambda: shop.get_by_role("main").inner_text())


def set_all(page: Page, on_sale: str, reason: str) -> None:
    page.goto("/admin/plan/list")
    page.get_by_label("Select all rows").check()
    page.get_by_role("button", name="With selected").click()
    page.get_by_text("Show or hide…").click()
    page.get_by_label("On sale").select_option(on_sale)
    ask(page, "Show them so", reason)
