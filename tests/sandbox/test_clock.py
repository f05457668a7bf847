"""The sandbox's clock is moved from outside, and says when what the move brought is done."""

import time

from tests.sandbox.running import Receiver, Sandbox, until

DAY = 86_400


def test_a_move_that_is_said_twice_is_done_once(sandbox: Sandbox) -> None:
    """Whoever did not hear the answer may say it again."""
    for _ in range(2):
        assert sandbox.tell("clock", {"offset_seconds": 40 * DAY})["offset_seconds"] == 40 * DAY
    assert abs(sandbox.ask("clock")["now"] - time.time() - 40 * DAY) < 5


def test_nobody_moves_it_before_the_machine_s_time(sandbox: Sandbox) -> None:
    for wrong in ({"offset_seconds": -1}, {"advance_seconds": -1}, {"offset_seconds": 1, "advance_seconds": 1}):
        assert sandbox.http.post("/_sandbox/clock", json=wrong).status_code == 400
    assert sandbox.ask("clock")["offset_seconds"] == 0


def test_the_next_appointment_is_known_and_a_move_to_it_is_done_when_its_news_have_arrived(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    """Who lets time pass in steps must not take the next one while the last one still happens."""
    assert sandbox.ask("clock")["next_at"] is None
    sandbox.tell("settlement", {"delay_seconds": 10 * DAY})
    debit = sandbox.pay("pm_success_de")
    next_at = sandbox.ask("clock")["next_at"]
    assert abs(next_at - time.time() - 10 * DAY) < 5
    until(lambda: not sandbox.ask("clock")["has_work"], "the news of the confirmation have arrived")
    assert sandbox.tell("clock", {"offset_seconds": 10 * DAY})["has_work"]
    until(lambda: not sandbox.ask("clock")["has_work"], "the debit is settled")
    assert "payment_intent.succeeded" in receiver.about(debit.id)
    assert sandbox.ask("clock")["next_at"] is None


def test_nobody_waits_for_what_was_refused_or_is_held_back(sandbox: Sandbox, receiver: Receiver) -> None:
    """A door that is away keeps time from passing no more than it keeps payments from happening."""
    receiver.next_statuses[:] = [503] * 20
    sandbox.new_intent()
    until(lambda: len(receiver.posts) == 1, "it was refused once")
    until(lambda: not sandbox.ask("clock")["has_work"], "it waits for its next time")
    sandbox.tell("delivery", {"paused": True})
    sandbox.new_intent()
    assert not sandbox.ask("clock")["has_work"]
    assert sandbox.ask("deliveries")["pending"] == 2


def test_a_debit_that_began_in_a_moved_time_is_settled_in_the_machine_s(sandbox: Sandbox, receiver: Receiver) -> None:
    """Back from there a bank would otherwise need the forty days again."""
    sandbox.tell("settlement", {"delay_seconds": 10 * DAY})
    sandbox.tell("clock", {"offset_seconds": 40 * DAY})
    debit = sandbox.pay("pm_success_de")
    sandbox.tell("clock", {"reset": True})
    assert abs(sandbox.ask("clock")["next_at"] - time.time() - 10 * DAY) < 5
    sandbox.tell("clock", {"offset_seconds": 10 * DAY + 1})
    receiver.wait_for("payment_intent.succeeded", debit.id)


def test_deliveries_are_signed_in_the_moved_time_also_when_they_are_repeated(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    """The door holds the age of a signature against a clock that has moved with this one."""
    receiver.next_statuses[:] = [400]
    sandbox.new_intent()
    until(lambda: len(receiver.posts) == 1, "it was refused once")
    sandbox.tell("clock", {"offset_seconds": 40 * DAY})
    until(lambda: len(receiver.posts) == 2, "it is repeated by the machine's time")
    ages = [signed_at(post.signature) - post.at for post in receiver.posts]
    assert [round(age / DAY) for age in ages] == [0, 40]


def signed_at(header: str) -> int:
    return int(header.partition(",")[0].removeprefix("t="))
