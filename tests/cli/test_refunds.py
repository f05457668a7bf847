"""Support gives money back by command: it sees the quote first, and a worker of payments sends the money."""

from datetime import UTC, datetime
from getpass import getuser
from uuid import UUID

import pytest
from sqlalchemy import text

from billing.db import Begin
from billing.deployment import Deployment
from billing.models import Purchase
from billing.secrets import Vault
from billing.states import ActState, RefundState
from tests.cli.support import Billing
from tests.support.office import Returns
from tests.support.staff import StaffRoom

WHY = ("--reason", "Ana moves away.")


@pytest.fixture
def returns(begin: Begin, deployment: Deployment, vault: Vault) -> Returns:
    return Returns(begin, deployment, vault, datetime.now(UTC))


@pytest.fixture
def purchase(returns: Returns) -> Purchase:
    return returns.sold(used=60)


def acts(returns: Returns) -> int:
    with returns.desk.begin() as session:
        return int(session.execute(text("SELECT count(*) FROM staff_act")).scalar_one())


def test_a_refund_is_quoted_and_held(billing: Billing, returns: Returns, purchase: Purchase, room: StaffRoom) -> None:
    said = billing("students", "refund", "1", "--amount", "63", *WHY)
    assert said.status == 0, said.err
    assert "refundable amount  126.00" in said.out
    assert "min(14000 x 540 / 600 - 0 fee, 12600 not given back) = 12600 cents" in said.out
    assert "of 63.00 € for 4.50 hours: held; a worker of payments sends it" in said.out
    (refund,) = returns.refunds()
    assert (refund.state, refund.minutes) == (RefundState.HELD, 270)
    act = room.row(refund.id)
    assert (act.actor, act.reason, act.state) == (f"cli:{getuser()}", WHY[1], ActState.DONE)
    assert returns.minutes(purchase) == {"consumed": 60, "left": 270, "held": 270}
    assert returns.send(refund.id).state is RefundState.SUCCEEDED


@pytest.fixture
def room(begin: Begin, database_url: str) -> StaffRoom:
    return StaffRoom(begin, database_url, datetime.now(UTC))


@pytest.mark.usefixtures("purchase")
def test_programs_get_both(billing: Billing, returns: Returns) -> None:
    said = billing("students", "refund", "1", *WHY, "--json")
    assert said.status == 0, said.err
    assert said.json["quote"]["refundable_amount"] == "126.00"
    refund = said.json["refund"]
    assert (refund["amount"], refund["status"], refund["minutes"]) == ("126.00", "held", 540)
    assert [one.id for one in returns.refunds()] == [UUID(refund["id"])]


@pytest.mark.usefixtures("purchase")
@pytest.mark.parametrize("more", [(), WHY])
def test_a_dry_run_only_quotes(billing: Billing, returns: Returns, more: tuple[str, ...]) -> None:
    said = billing("students", "refund", "1", "--dry-run", *more, "--json")
    assert (said.status, said.json["refund"]) == (0, None)
    assert said.json["quote"]["formula"].endswith("= 12600 cents")
    assert (acts(returns), returns.refunds()) == (0, [])


@pytest.mark.usefixtures("purchase")
def test_the_same_command_again_is_the_same_refund(billing: Billing, returns: Returns) -> None:
    """As long as the money is on its way; who presses the arrow up and enter pays once."""
    first = billing("students", "refund", "1", "--amount", "63.00", *WHY, "--json")
    again = billing("students", "refund", "1", "--amount", "63", *WHY, "--json")
    assert again.json["refund"]["id"] == first.json["refund"]["id"]
    assert len(returns.refunds()) == 1


@pytest.mark.usefixtures("purchase")
def test_a_refusal_is_one_line_and_in_the_log(billing: Billing, returns: Returns) -> None:
    said = billing("students", "refund", "1", "--amount", "126.01", *WHY)
    assert (said.status, said.err) == (1, "billing: at most 126.00 can be given back\n")
    assert billing("students", "refund", "7", *WHY).complaint == "there is no transaction 7"
    assert (acts(returns), returns.refunds()) == (1, [])


@pytest.mark.usefixtures("purchase")
@pytest.mark.parametrize(
    "words",
    [
        ("1",),
        ("1", "--reason", " "),
        ("1", "--reason", "x" * 501),
        *(("1", "--amount", amount, *WHY) for amount in ("0", "-1", "70.001", "1000001", "nan", "x")),
        ("0", *WHY),
        ("x", *WHY),
        (*WHY,),
    ],
)
def test_wrong_usage_is_exit_2_and_no_act(billing: Billing, returns: Returns, words: tuple[str, ...]) -> None:
    assert billing("students", "refund", *words).status == 2
    assert acts(returns) == 0
