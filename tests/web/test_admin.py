"""Who comes into the admin, for how long, and what each answer may do."""

import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from itsdangerous import TimestampSigner
from sqlalchemy import text
from sqlmodel import col, select
from starlette.testclient import TestClient

from billing import clock
from billing.config import Settings
from billing.db import Begin, connect
from billing.ids import new_id
from billing.models import StaffSignIn
from tests.support.environment import make_settings
from tests.support.servers import running_valkey
from tests.support.statements import counted
from tests.web.admin import Desk
from tests.web.support import Tokens
from web.admin.keys import keys_for
from web.admin.sessions import COOKIE, LONGEST
from web.app import create_app

DeskOf = Callable[..., Desk]


def id_in(desk: Desk) -> UUID:
    """What the cookie of a browser names."""
    data = desk.client.cookies[COOKIE].partition(".")[0]
    return UUID(orjson.loads(b64decode(data))["id"])


def sign_ins(begin: Begin) -> Sequence[StaffSignIn]:
    with begin() as session:
        return session.exec(select(StaffSignIn).order_by(col(StaffSignIn.signed_in_at))).all()


@pytest.fixture
def desk_of(database_url: str, valkey_url: str, tokens: Tokens) -> Iterator[DeskOf]:
    """A browser before a door with other settings; its pages are not in the API's document."""
    with ExitStack() as doors:

        def make(**variables: str) -> Desk:
            app = create_app(make_settings(database_url, valkey_url, **variables))
            return Desk(doors.enter_context(TestClient(app, client=("192.0.2.7", 4711))), tokens)

        yield make


@pytest.fixture
def desk(desk_of: DeskOf) -> Desk:
    return desk_of()


def test_whoever_has_not_signed_in_is_sent_to_do_so(desk: Desk) -> None:
    """Every page is of staff only, and leads back to where it was asked for."""
    answer = desk.get("purchase/list")
    assert answer.status_code == 303
    assert "/admin/login?next=" in answer.headers["location"]
    assert "purchase" in answer.headers["location"]


@pytest.mark.parametrize("role", ["staff", "admin"])
def test_staff_sign_in_by_their_token_and_sign_out(desk: Desk, role: str) -> None:
    answer = desk.sign_in(role)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(COOKIE))
    assert {"httponly", "samesite=lax", "path=/admin"} <= {part.strip().lower() for part in cookie.split(";")}
    assert desk.get("").status_code == 200
    assert desk.post("logout", {}, page="").headers["location"] == "/admin/login"
    assert desk.get("").status_code == 303


@pytest.mark.parametrize("roles", [[], ["student"], ["guardian", "service"]])
def test_a_token_of_nobody_on_staff_opens_nothing(desk: Desk, roles: list[str]) -> None:
    """The platform signs tokens of students with the same key."""
    answer = desk.sign_in(*roles)
    assert (answer.status_code, "nobody on staff" in answer.text) == (400, True)
    assert desk.get("").status_code == 303


def test_a_bad_token_opens_nothing(desk: Desk) -> None:
    for token in ("", "none", "a.b.c", "x" * 9000):
        assert desk.post("login", {"token": token}).status_code == 400
    assert desk.get("").status_code == 303


def test_a_sign_in_leads_to_no_other_host(desk: Desk, tokens: Tokens) -> None:
    """A link that looks like ours must not end elsewhere."""
    token = tokens.of("boss", roles=["staff"])["Authorization"].removeprefix("Bearer ")
    answer = desk.post("login?next=https://evil.example/", {"token": token})
    assert answer.headers["location"] == "/admin/"


def test_failed_sign_ins_are_limited(desk: Desk) -> None:
    """Nobody tries tokens by the thousand; who succeeds takes no place of the others."""
    for _ in range(12):
        assert desk.sign_in("staff").status_code == 303
        desk.client.cookies.clear()
    answers = [desk.post("login", {"token": f"no-{number}"}).text for number in range(11)]
    assert "not valid" in answers[0]
    assert "too many failed" in answers[-1]


def test_failed_sign_ins_are_counted_for_all_doors_together(desk_of: DeskOf) -> None:
    """Whoever tries tokens finds no more of them behind the next process."""
    first, second = desk_of(), desk_of()
    for number in range(5):
        for desk in (first, second):
            assert "not valid" in desk.post("login", {"token": f"no-{number}"}).text
    for desk in (first, second):
        assert "too many failed" in desk.sign_in("admin").text


def test_failed_sign_ins_are_limited_without_valkey(database_url: str, tokens: Tokens) -> None:
    """Then each process counts what it sees."""
    with running_valkey() as server:
        app = create_app(make_settings(database_url, server.url()))
        with TestClient(app, client=("192.0.2.7", 4711)) as client:
            server.kill()
            desk = Desk(client, tokens)
            answers = [desk.post("login", {"token": f"no-{number}"}).text for number in range(11)]
    assert ("not valid" in answers[9], "too many failed" in answers[10]) == (True, True)


def test_a_form_without_its_mark_is_refused(desk: Desk) -> None:
    """Another site can make a browser send a form, but cannot read the mark that belongs in it."""
    desk.sign_in("admin")
    for path in ("login", "logout", "acts/grant?of=1", "_api/purchase/action?name=export"):
        assert desk.client.post(f"/admin/{path}", data={}, follow_redirects=False).status_code == 403
    forged = desk.client.post("/admin/logout", data={"csrftoken": "forged"}, follow_redirects=False)
    assert forged.status_code == 403
    assert desk.get("").status_code == 200


def test_a_forged_session_is_none(desk: Desk, settings: Settings) -> None:
    """Only what our key has signed is believed; a key for another purpose counts for nothing."""
    desk.sign_in("admin")
    data = b64encode(orjson.dumps({"id": id_in(desk).hex}))
    desk.client.cookies.clear()
    for key in ("guessed", keys_for(settings, "admin forms")[-1]):
        desk.client.cookies.set(COOKIE, TimestampSigner(key).sign(data).decode(), path="/admin")
        assert desk.get("").status_code == 303
    good = TimestampSigner(keys_for(settings, "admin sessions")[-1]).sign(data).decode()
    desk.client.cookies.set(COOKIE, good, path="/admin")
    assert desk.get("").status_code == 200


@pytest.mark.parametrize("named", [{}, {"id": None}, {"id": "x"}, {"id": 7}, {"id": f"{new_id()}"}, {"sub": "boss"}])
def test_a_cookie_that_names_no_sign_in_opens_nothing(desk: Desk, settings: Settings, named: dict[str, Any]) -> None:
    """Of an older version of this program, for example, which kept there who somebody is."""
    signer = TimestampSigner(keys_for(settings, "admin sessions")[-1])
    desk.client.cookies.set(COOKIE, signer.sign(b64encode(orjson.dumps(named))).decode(), path="/admin")
    assert desk.get("").status_code == 303
    assert desk.sign_in("staff").status_code == 303
    assert desk.get("").status_code == 200


def test_who_signs_out_has_signed_out_everywhere(desk_of: DeskOf, begin: Begin) -> None:
    """A copy of the cookie, made on a shared machine or read from a backup, is worth nothing from then on."""
    first, second = desk_of(), desk_of()
    first.sign_in("admin")
    copied = first.client.cookies[COOKIE]
    second.client.cookies.set(COOKIE, copied, path="/admin")
    assert second.get("").status_code == 200
    first.post("logout", {}, page="")
    assert second.get("").status_code == 303
    assert second.client.get("/admin/system/health/").status_code == 401
    (sign_in,) = sign_ins(begin)
    assert sign_in.signed_out_at is not None


def test_who_signs_in_again_leaves_the_session_before(desk_of: DeskOf, begin: Begin) -> None:
    """Nobody is signed in under a name that was known before, whoever put it into the browser."""
    first, second = desk_of(), desk_of()
    first.sign_in("staff", sub="mallory")
    before = first.client.cookies[COOKIE]
    second.client.cookies.set(COOKIE, before, domain="testserver.local", path="/admin")
    token = second.tokens.of("boss", roles=["admin"])["Authorization"].removeprefix("Bearer ")
    assert second.post("login?again=1", {"token": token}).status_code == 303
    assert second.client.cookies[COOKIE] != before
    assert first.get("").status_code == 303
    assert second.get("").status_code == 200
    assert [(one.sub, one.roles, one.signed_out_at is None) for one in sign_ins(begin)] == [
        ("mallory", ["staff"], False),
        ("boss", ["admin"], True),
    ]


def test_two_browsers_of_one_person_sign_out_by_themselves(desk_of: DeskOf) -> None:
    first, second = desk_of(), desk_of()
    for desk in (first, second):
        desk.sign_in("staff")
    first.post("logout", {}, page="")
    assert (first.get("").status_code, second.get("").status_code) == (303, 200)


def test_the_roles_are_those_of_the_token_at_the_sign_in(desk: Desk, begin: Begin) -> None:
    desk.sign_in("staff", "student", name="Bo")
    (sign_in,) = sign_ins(begin)
    assert (sign_in.sub, sign_in.name, sign_in.roles) == ("boss", "Bo", ["staff"])
    assert sign_in.until - sign_in.signed_in_at <= timedelta(minutes=10)
    assert desk.get("acts/grant?of=1").status_code == 403


def test_each_page_costs_one_statement_more_and_a_file_none(desk: Desk) -> None:
    desk.sign_in("staff")
    for path, most in (("", 1), ("static/admin.css", 0)):
        with counted() as statements:
            assert desk.get(path).status_code == 200
        assert len([one for one in statements if "staff_sign_in" in one]) == most, path


def test_where_nobody_can_find_out_who_it_is_the_page_says_so(
    desk: Desk, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a form to sign in, which would not help, nor an error of the program."""
    desk.sign_in("admin")
    monkeypatch.setattr("web.door.PATIENCE_SECONDS", 0.2)
    engine = connect(database_url, "tests")
    with engine.connect() as held:
        held.execute(text("LOCK TABLE staff_sign_in"))
        for path in ("", "purchase/list", "acts/grant?of=1", "login"):
            answer = desk.get(path)
            assert (path, answer.status_code) == (path, 503)
            assert "try again" in answer.text
        assert desk.client.get("/admin/system/health/").status_code == 503
        assert desk.get("static/admin.css").status_code == 200
    engine.dispose()
    assert desk.get("").status_code == 200


def test_a_session_ends_after_eight_hours_whatever_is_done_in_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that was left open is not open the next day."""
    desk.sign_in("staff", exp=int(time.time()) + 100_000)
    now = clock.machine_now()
    monkeypatch.setattr(clock, "machine_now", lambda: now + LONGEST - timedelta(minutes=1))
    assert desk.get("").status_code == 200
    monkeypatch.setattr(clock, "machine_now", lambda: now + LONGEST)
    assert desk.get("").status_code == 303


def test_a_session_ends_with_the_token_that_was_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom the platform lets in for ten minutes is in here for ten minutes."""
    now = clock.machine_now()
    desk.sign_in("staff", exp=int(now.timestamp()) + 600)
    assert desk.get("").status_code == 200
    monkeypatch.setattr(clock, "machine_now", lambda: now + timedelta(seconds=605))
    assert desk.get("").status_code == 303


def test_a_session_survives_a_change_of_the_key(desk_of: DeskOf) -> None:
    """A new key signs, the old one is still believed: nobody is thrown out by a deployment."""
    old, new = "o" * 32, "n" * 32
    first = desk_of(SECRET_KEY=old)
    first.sign_in("staff")
    second = desk_of(SECRET_KEY=f"{new},{old}")
    kept = first.client.cookies[COOKIE]
    second.client.cookies.set(COOKIE, kept, path="/admin")
    assert second.get("").status_code == 200
    third = desk_of(SECRET_KEY=new)
    third.client.cookies.set(COOKIE, kept, path="/admin")
    assert third.get("").status_code == 303


@pytest.mark.parametrize("seconds", [-1, -5])
def test_a_token_that_has_just_ended_opens_no_session(desk: Desk, begin: Begin, seconds: int) -> None:
    """Elsewhere it is believed for some seconds more, for clocks differ."""
    answer = desk.sign_in("admin", exp=int(time.time()) + seconds)
    assert (answer.status_code, "not valid any more" in answer.text) == (400, True)
    assert sign_ins(begin) == []


def test_a_role_can_be_named_in_development_only(desk: Desk, desk_of: DeskOf) -> None:
    """Where everybody could sign a token anyway it saves them the trouble; elsewhere it would open the door."""
    assert desk.post("login", {"role": "admin", "name": "Eva"}).status_code == 303
    assert "Eva" in desk.get("").text
    desk.client.cookies.clear()
    assert desk.post("login", {"role": "owner", "name": "Eva"}).status_code == 400
    assert desk.post("login", {"role": "admin", "name": ""}).status_code == 400
    other = desk_of(JWT_SECRET="s" * 40)
    assert other.post("login", {"role": "admin", "name": "Eva"}).status_code == 400
    assert "development" not in other.get("login").text


def test_every_script_of_a_page_has_its_nonce_and_none_comes_from_elsewhere(desk: Desk) -> None:
    """What somebody smuggles into a page does not run: it does not know the nonce of this answer."""
    desk.sign_in("admin")
    for path in ("", "purchase/list", "login?again=1"):
        answer = desk.get(path)
        policy = answer.headers["content-security-policy"]
        nonce = re.search(r"script-src 'self' 'nonce-([^']+)'", policy)
        assert nonce, policy
        scripts = re.findall(r"<script[^>]*>", answer.text)
        assert scripts
        assert all(f'nonce="{nonce[1]}"' in script for script in scripts), scripts
        assert not re.search(r"\son[a-z]+=", answer.text)
        assert "//rsms.me" not in answer.text
    assert desk.get("").headers["content-security-policy"] != desk.get("").headers["content-security-policy"]


def test_the_rest_of_the_door_keeps_its_own_policy(desk: Desk) -> None:
    assert (
        desk.client.get("/healthz").headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    )
    assert desk.client.get("/admin", follow_redirects=False).headers["location"].endswith("/admin/")
    assert desk.client.get("/nowhere/").json()["error_type"] == "not_found"


def test_a_body_beyond_every_form_is_not_read(desk: Desk) -> None:
    """Nobody fills the memory of the door before he has signed in."""
    answer = desk.client.post("/admin/login", content=b"x" * 100_000)
    assert answer.status_code == 413
