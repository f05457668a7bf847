"""Plans are made, edited and taken off sale by command, and the audit log tells of it as of any act."""

from datetime import UTC, datetime, timedelta
from getpass import getuser

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from billing.db import Begin
from billing.models import StaffAct
from tests.cli.support import Billing

WHY = ("--reason", "The new school year.")
SUMMER = ("--name", "Summer Package", "--hours", "8", "--price", "112", *WHY)


def acts(begin: Begin) -> list[StaffAct]:
    with begin() as session:
        return [*session.exec(select(StaffAct).order_by(col(StaffAct.requested_at)))]


def prices(billing: Billing) -> dict[str, str]:
    return {plan["name"]: plan["price_eur"] for plan in billing("plans", "list", "--json").json}


def test_a_price_is_edited_and_the_old_version_stays(billing: Billing, begin: Begin) -> None:
    said = billing("plans", "edit", "2", "--price", "150", *WHY)
    assert said.status == 0, said.err
    assert "edit_plan of plan:2: done" in said.out
    assert "plan 2: price eur       140.00" in said.out
    assert "→  150.00" in said.out
    assert prices(billing)["Standard Package"] == "150.00"
    (act,) = acts(begin)
    assert (act.actor, act.reason, act.parameters["expected_version"]) == (f"cli:{getuser()}", WHY[1], 1)
    shown = billing("plans", "show", "2")
    assert "version 1  over" in shown.out
    assert "version 2  current" in shown.out
    assert [version["price_eur"] for version in billing("plans", "show", "2", "--json").json["versions"]] == [
        "140.00",
        "150.00",
    ]


def test_a_package_and_a_subscription_are_made(billing: Billing) -> None:
    """Days make a package."""
    package = billing("plans", "create", *SUMMER, "--days", "60", "--json")
    assert (package.json["after"]["plan_type"], package.json["after"]["validity_days"]) == ("package", 60)
    club = ("--name", "Club", "--hours", "10", "--price", "99", "--rollover", "2", *WHY)
    assert billing("plans", "create", *club, "--json").json["after"]["rollover_minutes"] == 120
    assert prices(billing).keys() >= {"Summer Package", "Club"}
    assert "2.00 h roll over" in billing("plans", "show", "9").out
    assert billing("plans", "edit", "9", "--no-rollover", *WHY, "--json").json["after"]["rollover_minutes"] is None


def test_a_change_is_scheduled_for_a_day(billing: Billing) -> None:
    """It begins with that day in business time."""
    day = datetime.now(UTC).date() + timedelta(days=30)
    said = billing("plans", "edit", "2", "--price", "150", "--from", day.isoformat(), *WHY, "--json")
    begin = datetime.fromisoformat(said.json["after"]["effective_from"])
    assert (begin.minute, timedelta(hours=-2) < begin - datetime(day.year, day.month, day.day, tzinfo=UTC)) == (0, True)
    assert prices(billing)["Standard Package"] == "140.00"
    assert "version 2  scheduled" in billing("plans", "show", "2").out
    again = billing("plans", "edit", "2", "--price", "151", "--from", f"{day}T12:00:00Z", *WHY, "--json")
    assert again.json["after"]["effective_from"] == f"{day}T12:00:00.000Z"


def test_plans_are_set_together(billing: Billing) -> None:
    said = billing("plans", "deactivate", "3", "4", *WHY)
    assert "plan 3: is active  True  →  False" in said.out
    assert "Premium Package" not in prices(billing)
    assert "archived" in billing("plans", "list", "--all").out
    assert len(billing("plans", "list", "--all", "--json").json) == 7
    assert billing("plans", "activate", "3", *WHY, "--json").json["after"]["plans"][0]["is_active"]
    assert billing("plans", "feature", "3", *WHY, "--json").json["after"]["plans"][0]["is_featured"]
    assert not billing("plans", "unfeature", "3", *WHY, "--json").json["after"]["plans"][0]["is_featured"]
    billing("plans", "order", "7", "1", "--place", "0", *WHY)
    assert [*prices(billing)][:2] == ["Family Subscription", "Basic Package"]


def test_a_refusal_is_one_line(billing: Billing, begin: Begin) -> None:
    """What can never be is not even kept; what is about the plan as it stands is in the log."""
    assert billing("plans", "show", "8").complaint == "there is no plan 8"
    assert billing("plans", "edit", "8", "--price", "1", *WHY).complaint == "there is no plan 8"
    assert billing("plans", "deactivate", "8", *WHY).complaint == "there is no plan:8"
    assert billing("plans", "edit", "2", "--price", "100001", *WHY).complaint.startswith("price_eur: must be")
    assert acts(begin) == []
    billing("plans", "edit", "2", "--price", "150", *WHY)
    stale = billing("plans", "edit", "2", "--price", "151", "--expected-version", "1", *WHY)
    assert stale.complaint == "since version 1 there is version 2 (price_eur 140.00 → 150.00)"
    assert billing("plans", "create", *SUMMER[2:], "--name", "Basic Package").complaint.startswith("name: plan 1 is")


def test_programs_are_told_which_default_plans_came(billing: Billing, begin: Begin) -> None:
    """Those that were there are left as they are, and counted."""
    nothing = billing("plans", "load-defaults", "--json").json
    assert (nothing["added"], nothing["left"]) == (0, 7)
    with begin() as session:
        session.execute(text("DELETE FROM pricing_plan_version WHERE plan_id = 3"))
        session.execute(text("DELETE FROM pricing_plan WHERE id = 3"))
    told = billing("plans", "load-defaults", "--force", "--json").json
    assert (told["added"], told["left"], len(told["plans"])) == (1, 6, 7)
    assert [one for one in told["plans"] if one["is_new"]] == [{"id": 8, "code": "premium", "is_new": True}]
    assert {"id": 2, "code": "standard", "is_new": False} in told["plans"]
    assert billing("plans", "load-defaults").out == "0 plans added\n"


def test_no_plans_says_what_to_do(billing: Billing, begin: Begin) -> None:
    with begin() as session:
        session.execute(text("DELETE FROM pricing_plan_version"))
        session.execute(text("DELETE FROM pricing_plan"))
    assert "billing plans load-defaults" in billing("plans", "list", "--all").out


@pytest.mark.parametrize(
    "words",
    [
        ("edit", "2", "--price", "150"),
        ("edit", "x", "--price", "150", *WHY),
        ("edit", "2", "--price", "x", *WHY),
        ("edit", "2", "--hours", "0.001", *WHY),
        ("edit", "2", "--price", "150", "--from", "soon", *WHY),
        ("edit", "2", "--price", "150", "--from", "2026-09-01T00:00:00", *WHY),
        ("create", "--hours", "8", "--price", "112", *WHY),
        ("deactivate", *WHY),
        ("order", "1", *WHY),
    ],
)
def test_wrong_usage_is_exit_2_and_no_act(billing: Billing, begin: Begin, words: tuple[str, ...]) -> None:
    assert billing("plans", *words).status == 2
    assert acts(begin) == []
