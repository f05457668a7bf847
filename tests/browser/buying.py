"""What a buyer does on the pages, in the words of a test."""

from playwright.sync_api import Page, expect

NAME = "Ana Lúcia"

GOOD = "Card that pays"
DECLINED = "Card that is declined"
SECURE = "Card that asks for 3-D Secure"

STANDARD, MONTHLY = 2, 5


def open_checkout(page: Page, plan_id: int = STANDARD) -> None:
    page.goto(f"/shop/checkout/{plan_id}/")
    expect(page.get_by_role("heading", name="Who are the hours for?")).to_be_visible()


def say_who(page: Page, email: str, name: str = NAME) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Continue to payment").click()


def begin(page: Page, email: str, plan_id: int = STANDARD) -> None:
    """Up to the form of the payment."""
    open_checkout(page, plan_id)
    say_who(page, email)
    expect(page.get_by_label(GOOD)).to_be_visible()


def pay(page: Page, card: str = GOOD) -> None:
    page.get_by_label(card).check()
    page.get_by_role("button", name="Pay €").click()


def see_hours(page: Page, hours: int = 10) -> None:
    expect(page.get_by_role("heading", name=f"{hours} hours are yours")).to_be_visible()


def sign_in(page: Page, email: str) -> None:
    page.goto("/account/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text(f"Signed in as {email}")).to_be_visible()
    all_is_shown(page)


def all_is_shown(page: Page) -> None:
    """Every section of the account has what it asked for."""
    expect(page.locator("main [aria-busy]")).to_have_count(0)


def save_card(page: Page, card: str = GOOD) -> None:
    page.get_by_role("button", name="Add a card").click()
    page.get_by_label(card).check()
    page.get_by_role("button", name="Save the card").click()
