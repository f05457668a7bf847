"""What owners of accounts ask for: a row and a 202, an outcome for whoever waits, and nothing for anybody else."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from billing.db import Begin
from billing.ids import new_id
from billing.models import AccountAct
from billing.secrets import Vault
from billing.states import AccountAction, ActState
from tests.support.factories import add_student
from tests.support.statements import counted
from tests.web.accounts import CARDS, SUBSCRIPTION, TOPUP, Clerk, act_path, add_card, add_subscription
from tests.web.following import soon
from tests.web.support import Tokens

OWN = f"{CARDS}pm_own/"
ACTS: list[tuple[str, str, Any, AccountAction, dict[str, Any]]] = [
    ("POST", CARDS, {}, AccountAction.ADD_CARD, {}),
    ("POST", CARDS, {"payment_method_id": None}, AccountAction.ADD_CARD, {}),
    ("POST", CARDS, {"payment_method_id": "pm_9"}, AccountAction.ATTACH_CARD, {"payment_method_id": "pm_9"}),
    ("POST", f"{OWN}set-default/", None, AccountAction.DEFAULT_CARD, {"payment_method_id": "pm_own"}),
    ("DELETE", OWN, None, AccountAction.REMOVE_CARD, {"payment_method_id": "pm_own"}),
    ("POST", f"{SUBSCRIPTION}cancel/", {}, AccountAction.CANCEL, {"at_period_end": True}),
    ("POST", f"{SUBSCRIPTION}cancel/", {"at_period_end": False}, AccountAction.CANCEL, {"at_period_end": False}),
    ("POST", f"{SUBSCRIPTION}resume/", None, AccountAction.RESUME, {}),
    ("POST", f"{SUBSCRIPTION}pause/", None, AccountAction.PAUSE, {}),
    ("POST", f"{SUBSCRIPTION}change-plan/", {"plan_id": "6"}, AccountAction.CHANGE_PLAN, {"plan_id": 6}),
    ("POST", f"{SUBSCRIPTION}pay/", None, AccountAction.PAY, {}),
]
READS = [CARDS, SUBSCRIPTION]
NOBODYS = UUID(int=7)
EVERY_ROUTE = [
    *(("GET", path, None) for path in READS),
    *((method, path, body) for method, path, body, *_ in ACTS),
    ("POST", TOPUP, {"plan_id": 2}),
    ("GET", act_path(NOBODYS), None),
]
NO_BODY = [f"{OWN}set-default/", *(f"{SUBSCRIPTION}{name}/" for name in ("resume", "pause", "pay"))]
Ask = Callable[..., Response]


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def clerk(begin: Begin, valkey_url: str, vault: Vault, today: datetime) -> Clerk:
    return Clerk(begin, valkey_url, vault, today)


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    student_id = add_student(begin, at=today, external_id="user-1")
    add_card(begin, student_id, "pm_own", at=today, is_default=True)
    return student_id


@pytest.fixture
def ask(client: TestClient, tokens: Tokens) -> Ask:
    def send(method: str, path: str, body: Any = None, *, sub: str = "user-1", **headers: str) -> Response:
        given = {} if body is None else {"json": body}
        return client.request(method, path, headers={**tokens.of(sub, name="Ana Lúcia"), **headers}, **given)

    return send


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize(("method", "path", "body", "action", "parameters"), ACTS)
def test_a_wish_is_a_row_and_a_202(
    ask: Ask, clerk: Clerk, method: str, path: str, body: Any, action: AccountAction, parameters: dict[str, Any]
) -> None:
    answer = ask(method, path, body)
    told = answer.json()
    assert (answer.status_code, told["success"], told["status"]) == (202, True, "requested")
    assert told["status_url"] == answer.headers["Location"] == act_path(told["id"])
    assert answer.headers["Retry-After"] == "1"
    (act,) = clerk.all()
    assert (str(act.id), act.action, act.parameters, act.state) == (told["id"], action, parameters, ActState.REQUESTED)
    assert (act.caller_sub, act.caller_email, act.caller_email_verified) == ("user-1", "user-1@example.com", True)
    assert (act.caller_name, act.request_id) == ("Ana Lúcia", answer.headers["X-Request-Id"])
    shown = ask("GET", told["status_url"]).json()
    assert (shown["status"], shown["action"], shown["client_secret"]) == ("requested", action, None)


@pytest.mark.parametrize(("method", "path", "body"), EVERY_ROUTE)
def test_nobody_asks_without_a_token(
    client: TestClient, clerk: Clerk, student: int, method: str, path: str, body: Any
) -> None:
    for headers in ({}, {"Authorization": "Bearer rubbish"}):
        assert client.request(method, path, json=body, headers=headers).status_code == 401
    assert clerk.all() == []


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize(("method", "path"), [("POST", f"{OWN}set-default/"), ("DELETE", OWN)])
@pytest.mark.parametrize("sub", ["user-2", "nobody"])
def test_somebody_elses_card_is_not_there(
    ask: Ask, begin: Begin, clerk: Clerk, today: datetime, method: str, path: str, sub: str
) -> None:
    """Whoever guesses an id learns nothing by it, and nothing is done."""
    add_card(begin, add_student(begin, "eva@example.com", at=today, external_id="user-2"), "pm_other", at=today)
    answers = [ask(method, path, sub=sub), ask(method, path.replace("pm_own", "pm_nobodys"), sub=sub)]
    assert [(answer.status_code, answer.json()["error_type"]) for answer in answers] == [(404, "card_not_found")] * 2
    assert answers[0].json()["message"] == answers[1].json()["message"]
    assert clerk.all() == []


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize("path", [*READS, act_path("{id}")])
def test_nothing_of_an_account_shows_to_another(
    ask: Ask, begin: Begin, vault: Vault, student: int, clerk: Clerk, today: datetime, path: str
) -> None:
    add_subscription(begin, student, at=today)
    told = ask("POST", f"{SUBSCRIPTION}pay/").json()
    clerk.refuse("authentication_required", secret="pi_secret")
    answer = ask("GET", path.format(id=told["id"]), sub="user-2")
    if path.endswith("{id}/"):
        assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")
    else:
        assert answer.json() in ({"success": True, "payment_methods": []}, {"success": True, "subscription": None})


@pytest.mark.usefixtures("student")
def test_an_act_that_is_nobodys_is_404(ask: Ask) -> None:
    for name in (new_id(), "0", "x"):
        assert ask("GET", act_path(name)).status_code == 404


@pytest.mark.usefixtures("student")
def test_the_secret_of_an_act_shows_to_its_owner_while_it_is_there(ask: Ask, begin: Begin, clerk: Clerk) -> None:
    told = ask("POST", CARDS, {}).json()
    clerk.do({"setup_intent_id": "seti_1"}, "seti_1_secret")
    shown = ask("GET", told["status_url"]).json()
    assert (shown["status"], shown["result"], shown["client_secret"]) == (
        "done",
        {"setup_intent_id": "seti_1"},
        "seti_1_secret",
    )
    with begin() as session:
        session.get_one(AccountAct, clerk.newest().id).client_secret = None
    assert ask("GET", told["status_url"]).json()["client_secret"] is None
    with begin() as session:
        session.get_one(AccountAct, clerk.newest().id).client_secret = b"sealed with a key that is gone"
    assert ask("GET", told["status_url"]).json()["client_secret"] is None


@pytest.mark.usefixtures("student")
def test_what_a_worker_is_about_to_call_shows_to_nobody(ask: Ask, begin: Begin, clerk: Clerk) -> None:
    """It is noted where the result will be."""
    told = ask("POST", f"{SUBSCRIPTION}pay/").json()
    with begin() as session:
        session.get_one(AccountAct, clerk.newest().id).result = {"calling": {"customer_id": "cus_1"}}
    assert ask("GET", told["status_url"]).json()["result"] is None


@pytest.mark.usefixtures("student")
def test_a_refusal_is_in_the_resource(ask: Ask, clerk: Clerk) -> None:
    told = ask("POST", f"{SUBSCRIPTION}pay/").json()
    clerk.refuse("nothing_due", "No invoice waits for a payment.")
    shown = ask("GET", told["status_url"])
    assert (shown.status_code, shown.json()["status"]) == (200, "refused")
    assert (shown.json()["error_type"], shown.json()["message"]) == ("nothing_due", "No invoice waits for a payment.")


REFUSALS = [
    ("POST", CARDS, {"payment_method_id": "pm_9"}, "card_not_found", 404),
    ("POST", CARDS, {"payment_method_id": "pm_9"}, "card_expired", 409),
    ("POST", CARDS, {"payment_method_id": "pm_9"}, "card_error", 409),
    ("POST", CARDS, {}, "api_connection_error", 409),
    ("POST", CARDS, {}, "student_unknown", 404),
    ("DELETE", OWN, None, "card_in_use", 409),
    ("POST", f"{SUBSCRIPTION}cancel/", {}, "no_subscription", 404),
    ("POST", f"{SUBSCRIPTION}cancel/", {}, "already_cancelled", 409),
    ("POST", f"{SUBSCRIPTION}resume/", None, "subscription_ended", 409),
    ("POST", f"{SUBSCRIPTION}resume/", None, "not_cancelling", 409),
    ("POST", f"{SUBSCRIPTION}resume/", None, "cancelled_meanwhile", 409),
    ("POST", f"{SUBSCRIPTION}pause/", None, "already_paused", 409),
    ("POST", f"{SUBSCRIPTION}change-plan/", {"plan_id": 99}, "plan_unknown", 400),
    ("POST", f"{SUBSCRIPTION}change-plan/", {"plan_id": 2}, "plan_not_recurring", 409),
    ("POST", f"{SUBSCRIPTION}change-plan/", {"plan_id": 5}, "same_plan", 409),
    ("POST", f"{SUBSCRIPTION}pay/", None, "nothing_due", 409),
    ("POST", f"{SUBSCRIPTION}pay/", None, "no_payment_method", 409),
    ("POST", f"{SUBSCRIPTION}pay/", None, "authentication_required", 409),
    ("POST", f"{SUBSCRIPTION}pay/", None, "rate_limit_error", 409),
]


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize(("method", "path", "body", "error_type", "status"), REFUSALS)
def test_whoever_waits_is_told_why_not(
    ask: Ask, clerk: Clerk, method: str, path: str, body: Any, error_type: str, status: int
) -> None:
    with soon(lambda: clerk.refuse(error_type, "Not like this.")):
        answer = ask(method, path, body, Prefer="wait=10")
    assert (answer.status_code, answer.json()["error_type"]) == (status, error_type)
    assert (answer.json()["message"], answer.headers["Preference-Applied"]) == ("Not like this.", "wait=10")


@pytest.mark.usefixtures("student")
def test_where_nobody_works_the_wait_ends_with_the_id(ask: Ask) -> None:
    answer = ask("POST", f"{SUBSCRIPTION}cancel/", Prefer="wait=0")
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=0")
    assert answer.json()["status"] == "requested"


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize(("method", "path", "body"), [act[:3] for act in ACTS])
def test_a_key_that_comes_again_is_the_same_act(ask: Ask, clerk: Clerk, method: str, path: str, body: Any) -> None:
    """A card that was removed meanwhile is still the one that the key was about."""
    first, again = (ask(method, path, body, **{"Idempotency-Key": key}) for key in ("k", '"k"'))
    clerk.do()
    later = ask(method, path, body, **{"Idempotency-Key": "k"})
    assert {first.json()["id"]} == {again.json()["id"], later.json()["id"]}
    assert [answer.headers.get("Idempotent-Replayed") for answer in (first, again, later)] == [None, "true", "true"]
    assert (again.json()["status"], later.json()["status"]) == ("requested", "done")
    assert len(clerk.all()) == 1


@pytest.mark.usefixtures("student")
def test_a_key_with_another_wish_is_a_mistake(ask: Ask, clerk: Clerk) -> None:
    key = {"Idempotency-Key": "k"}
    ask("POST", f"{SUBSCRIPTION}cancel/", {}, **key)
    others = [
        ask("POST", f"{SUBSCRIPTION}cancel/", {"at_period_end": False}, **key),
        ask("POST", f"{SUBSCRIPTION}pause/", **key),
        ask("POST", CARDS, {}, **key),
    ]
    assert {(answer.status_code, answer.json()["error_type"]) for answer in others} == {(422, "idempotency_mismatch")}
    assert len(clerk.all()) == 1
    assert ask("POST", f"{SUBSCRIPTION}pause/", sub="user-2", **key).status_code == 202


@pytest.mark.usefixtures("student")
def test_a_double_click_is_one_wish(ask: Ask, clerk: Clerk) -> None:
    first, again = ask("POST", f"{SUBSCRIPTION}pay/"), ask("POST", f"{SUBSCRIPTION}pay/")
    assert (first.json()["id"], again.headers["Idempotent-Replayed"]) == (again.json()["id"], "true")


NO_CARDS: list[object] = [7, "", "pm_", "card", "pm_\0", [], True, "pm_" + "x" * 253, "pm_é", " pm_1"]
NO_FLAGS: list[object] = ["yes", 1, None, []]
NO_PLANS: list[object] = [None, "x", True, 2.5, {}, ""]
BAD: list[tuple[str, object, str]] = [
    *((CARDS, {"payment_method_id": given}, "payment_method_id") for given in NO_CARDS),
    *((f"{SUBSCRIPTION}cancel/", {"at_period_end": given}, "at_period_end") for given in NO_FLAGS),
    *((f"{SUBSCRIPTION}change-plan/", {"plan_id": given}, "plan_id") for given in NO_PLANS),
    (f"{SUBSCRIPTION}change-plan/", {}, "plan_id"),
]


@pytest.mark.parametrize(("path", "body", "field"), BAD)
def test_a_field_that_cannot_be_read_is_named(ask: Ask, clerk: Clerk, path: str, body: object, field: str) -> None:
    answer = ask("POST", path, body)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")
    assert list(answer.json()["field_errors"]) == [field]
    assert clerk.all() == []


@pytest.mark.parametrize("path", [CARDS, f"{SUBSCRIPTION}cancel/", f"{SUBSCRIPTION}change-plan/", TOPUP])
def test_a_body_that_is_none_is_refused(client: TestClient, tokens: Tokens, clerk: Clerk, path: str) -> None:
    json = {"Content-Type": "application/json"}
    for content, headers, status in (
        (b"[]", json, 400),
        (b"{", json, 400),
        (b'{"a": 1, "a": 2}', json, 400),
        (b"\xff", json, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}" + b" " * 70_000, json, 413),
    ):
        assert client.post(path, content=content, headers={**tokens.of(), **headers}).status_code == status
    assert clerk.all() == []


@pytest.mark.parametrize("path", [CARDS, f"{SUBSCRIPTION}cancel/"])
def test_a_body_that_may_be_left_out_is_an_empty_object(ask: Ask, path: str) -> None:
    first, second = ask("POST", path), ask("POST", path, {})
    assert (first.status_code, first.json()["id"]) == (202, second.json()["id"])


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize("path", NO_BODY)
def test_where_there_is_nothing_to_say_a_body_is_not_looked_at(client: TestClient, tokens: Tokens, path: str) -> None:
    assert client.post(path, content=b"\xff{", headers=tokens.of()).status_code == 202


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize(("method", "path", "body"), [act[:3] for act in ACTS])
def test_a_key_of_another_kind_is_a_wrong_header(ask: Ask, clerk: Clerk, method: str, path: str, body: Any) -> None:
    answer = ask(method, path, body, **{"Idempotency-Key": "a b"})
    assert (answer.status_code, answer.json()["message"].split(":")[0]) == (400, "Idempotency-Key")
    assert clerk.all() == []


@pytest.mark.usefixtures("student")
def test_a_wish_is_two_statements_at_the_door(ask: Ask) -> None:
    """The caller's turn, and the row; of a card also whether it is the caller's."""
    for method, path, statements_of_it in (("POST", f"{SUBSCRIPTION}pay/", 2), ("DELETE", OWN, 3)):
        with counted() as statements:
            assert ask(method, path).status_code == 202
        assert len(statements) == statements_of_it
