"""Acts through every process: a page asks, a worker does, and both who asked and the student see what became of it."""

import re
from datetime import UTC, datetime

from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text

from billing.deployment import Deployment
from billing.models import Purchase
from billing.states import PurchaseState
from tests.browser import buying
from tests.browser.conftest import NewPage
from tests.browser.test_account import remaining, section
from tests.browser.test_admin import sign_in
from tests.support.factories import add_event, add_purchase, add_student, event_body, intent_body
from tests.support.records import DAY, bought
from tests.support.stack import Stack, eventually

REASON = "Two lessons fell out."


def ask(page: Page, button: str, reason: str = REASON, label: str = "Reason") -> None:
    """Send the form, and wait until the page of the act says that it is done."""
    page.get_by_label(label).fill(reason)
    page.get_by_role("button", name=button).click()
    expect(page.locator("#state")).to_have_text("Done")


def audited(stack: Stack, action: str) -> tuple[str, str, str]:
    """Actor, reason and state of the newest act of this kind."""
    with stack.begin() as session:
        found = session.execute(
            text(
                "SELECT actor, reason, state FROM staff_act WHERE action = :action ORDER BY requested_at DESC LIMIT 1"
            ),
            {"action": action},
        )
        return tuple(found.one())


def fact(page: Page, name: str) -> Locator:
    return page.locator("dt", has_text=name).locator("+ dd")


def test_a_refund_is_quoted_asked_for_and_done(page: Page, new_page: NewPage, stack: Stack) -> None:
    """From the list of purchases to money on its way back, at Stripe's stand-in, and to the account of who bought."""
    accepted = stack.buy("refund@example.com")
    stack.pay(stack.wait_for(accepted, "pending"))
    stack.wait_for(accepted, "completed")
    sign_in(page, stack, "admin")
    page.goto("/admin/purchase/list?q=refund@example.com")
    page.get_by_label("Refund").click()
    expect(fact(page, "Unused hours")).to_have_text("10.00")
    expect(fact(page, "Can be given back (€)")).to_have_text("140.00")
    page.get_by_label("Amount (€)").fill("28.00")
    ask(page, "Give this money back")
    assert audited(stack, "refund") == ("boss", REASON, "done")
    page.get_by_role("link", name="purchase:").click()
    page.get_by_label("Related rows").get_by_role("link", name="Refunds").click()
    expect(page.locator("tr[data-sa-pk]")).to_contain_text("28.00")
    eventually(lambda: stack.status(accepted)["refunded_eur"] == "28.00", 20)
    buyer = new_page("phone")
    buying.sign_in(buyer, "refund@example.com")
    expect(section(buyer, "Purchases")).to_contain_text("€28.00 given back")
    expect(remaining(buyer)).to_have_text("8")
    expect(section(buyer, "Movements of hours")).to_contain_text(re.compile(r"Refunded.*−2 h"))


def test_a_stale_quote_is_not_taken(page: Page, stack: Stack) -> None:
    """What was used while the page was open is no longer offered; the page says so and asks again."""
    now = datetime.now(UTC)
    student = add_student(stack.begin, "stale@example.com", at=now)
    number = bought(stack.begin, student, at=now).transaction_id
    sign_in(page, stack, "admin")
    page.goto(f"/admin/acts/refund?of={number}")
    page.get_by_label("Reason").fill(REASON)
    with stack.begin() as session:
        session.execute(text("UPDATE purchase SET refunding_cents = 1400 WHERE transaction_id = :n"), {"n": number})
    page.get_by_role("button", name="Give this money back").click()
    expect(page.locator("#changes")).to_contain_text("126.00")
    expect(page.get_by_label("Reason")).to_have_value(REASON)


def test_packages_that_were_selected_last_longer(page: Page, new_page: NewPage, stack: Stack) -> None:
    """All of them by one act; their owners are not hurried any more."""
    now = datetime.now(UTC)
    for name in ("first", "second"):
        student = add_student(stack.begin, f"{name}.extended@example.com", at=now)
        bought(stack.begin, student, at=now, expires_at=now + 5 * DAY)
    with stack.begin() as session:
        session.execute(
            text("""
            UPDATE purchase SET buyer_email = student.email FROM student
            WHERE student.id = student_id AND email LIKE '%.extended@%'
        """)
        )
    owner = new_page("phone")
    buying.sign_in(owner, "first.extended@example.com")
    expect(section(owner, "Hours")).to_contain_text(re.compile(r"\d days left"))
    sign_in(page, stack, "staff")
    page.goto("/admin/purchase/list?q=extended@example.com")
    page.get_by_label("Select all rows").check()
    page.get_by_role("button", name="With selected").click()
    page.get_by_text("Extend…").click()
    expect(page.get_by_role("heading", name="2 packages")).to_be_visible()
    page.get_by_label("Days").fill("7")
    ask(page, "Let them last longer")
    assert audited(stack, "bulk_extend") == ("boss", REASON, "done")
    owner.reload()
    buying.all_is_shown(owner)
    expect(section(owner, "Hours")).to_contain_text("Use by")
    expect(section(owner, "Hours")).not_to_contain_text("days left")


def test_a_dead_letter_is_replayed_after_a_look(page: Page, new_page: NewPage, stack: Stack) -> None:
    """What it would write is seen first; then a worker credits the hours, and who paid for them has them."""
    purchase, event_id = dead_payment(stack)
    owner = new_page("phone")
    buying.sign_in(owner, "dead@example.com")
    expect(remaining(owner)).to_have_text("0")
    sign_in(page, stack, "admin")
    page.goto("/admin/letter/list?q=nothing fits")
    page.get_by_label("Replay").click()
    expect(page.get_by_role("heading", name="Entries")).to_be_visible()
    expect(page.get_by_role("table").filter(has_text="credit")).to_be_visible()
    ask(page, "Work it anew")
    expect(fact(page, "Result")).to_have_text("reopened")
    credited = "SELECT count(*) FROM hour_entry WHERE purchase_id = :id"
    eventually(lambda: stack.scalar(credited, id=purchase.id) == 1, 20)
    page.goto(f"/admin/event/detail?pk={event_id}")
    expect(page.get_by_role("row", name="State")).to_contain_text("applied")
    owner.reload()
    expect(remaining(owner)).to_have_text("10")
    expect(section(owner, "Movements of hours")).to_contain_text(re.compile(r"Credited.*\+10 h"))


def dead_payment(stack: Stack) -> tuple[Purchase, int]:
    """News of a payment on which every worker gave up, and which is good now."""
    now = datetime.now(UTC)
    owner = add_student(stack.begin, "dead@example.com", at=now)
    sold = add_purchase(stack.begin, at=now, state=PurchaseState.PENDING, student_id=owner, email="dead@example.com")
    deployment = Deployment.of(stack.settings, stack.begin)
    body = event_body("payment_intent.succeeded", intent_body(sold, deployment), at=now)
    event_id = add_event(stack.begin, body, at=now)
    with stack.begin() as session:
        session.execute(
            text("""
                UPDATE webhook_event SET due_at = NULL, hint_at = NULL, lease_until = NULL, lease_token = NULL,
                    state = 'dead', outcome = NULL, gave_up_at = clock_timestamp(), last_error = 'nothing fits'
                WHERE id = :id
            """),
            {"id": event_id},
        )
    return sold, event_id


def test_a_case_is_closed_with_a_note(page: Page, stack: Stack) -> None:
    with stack.begin() as session:
        session.execute(
            text("""
                INSERT INTO staff_case (reason, source, detail, state, opened_at)
                VALUES ('difference', 'evt_browser', 'They differ by a cent.', 'open', clock_timestamp())
            """)
        )
    sign_in(page, stack, "admin")
    page.goto("/admin/case/list?q=evt_browser")
    page.locator("tr[data-sa-pk]").get_by_label("Close").click()
    ask(page, "Close it", "It was a cent of rounding.", label="Note")
    assert audited(stack, "close_case")[1:] == ("It was a cent of rounding.", "done")
    page.goto("/admin/case/list?q=evt_browser")
    expect(page.locator("tr[data-sa-pk]")).to_contain_text("closed")
