"""What the document allows, and what it does not, sent to the real door: every answer is one that it names.

`make test` sends some three thousand requests; BILLING_FUZZ_REQUESTS=50000 sends more.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks
from sqlalchemy import text

from billing import db
from billing.config import Settings
from billing.db import Begin
from billing.secrets import Vault
from billing.work.kinds import OPEN_KINDS
from tests.support.database import TEMPLATE, connect
from tests.support.environment import make_settings
from tests.support.factories import add_student
from tests.support.records import bought, credited, taken
from tests.support.servers import RunningPostgres, RunningValkey
from tests.web.accounts import add_card, add_period, add_subscription
from tests.web.following import Worker
from tests.web.openapi.documented import document
from tests.web.support import INITIATE, WEBHOOK, Tokens, served, signed, wish
from web.app import create_app

REQUESTS = int(os.environ.get("BILLING_FUZZ_REQUESTS", "1600"))
"""Made up at random; the bounds of every schema come on top."""

STEPS = 8
"""Of one walk from a purchase along its links."""

SHARE_OF_WALKS = 4
"""One request in so many is a step of a walk."""

SECONDS_OF_A_STREAM = 0.05
GUEST = 1

CHECKS = [
    not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]

SCHEMA = schemathesis.openapi.from_dict(document())
PURCHASES = SCHEMA.include(tag="purchases")
OPERATIONS: list[Any] = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]
OPERATIONS.sort(key=lambda operation: operation.method == "post")
"""Reads first: without a worker, what is accepted makes the service unready after a while."""


def bounded(examples: int, **more: Any) -> hypothesis_settings:
    """The same requests each time, without looking for a smaller one that fails: the first names itself."""
    return hypothesis_settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


@dataclass
class Caller:
    """Sends cases, and counts what came back."""

    url: str
    session: requests.Session
    who: Sequence[dict[str, str]]
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def send(self, case: Case[Any], who: int) -> Any:
        case.headers.pop("Authorization", None)
        answer = case.call(base_url=self.url, session=self.session, headers=self.who[who], timeout=10)
        self.answers[case.operation.definition.raw["operationId"], answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)
        return answer

    def try_out(self, case: Case[Any], who: int) -> None:
        self.send(case, who)

    @property
    def told(self) -> str:
        shown = (f"{name} {status}: {times}" for (name, status), times in sorted(self.answers.items()))
        return f"{self.sent} requests: {', '.join(shown)}"

    @property
    def sent(self) -> int:
        return self.answers.total()


@pytest.fixture(scope="module")
def begin(postgres: RunningPostgres) -> Iterator[Begin]:
    """A database of its own, with something to read in it."""
    postgres.create_database("web_fuzz", template=TEMPLATE)
    engine = connect(postgres.url("web_fuzz"))
    begin, now = partial(db.begin, engine), datetime.now(UTC)
    student = add_student(begin, at=now, external_id="user-1")
    for _ in range(3):
        bought(begin, student, at=now, caller="user-1")
    credited(begin, student, at=now, expires_at=None)
    taken(begin, 1, 90, at=now)
    add_card(begin, student, "pm_1Q", at=now, is_default=True)
    add_period(begin, student, add_subscription(begin, student, at=now), at=now)
    yield begin
    engine.dispose()


@pytest.fixture(autouse=True)
def nothing_waits_for_long(begin: Begin) -> None:
    """Nobody works here: what earlier tests have asked for would make the service unready for later ones."""
    with begin() as session:
        for kind in OPEN_KINDS:
            since = "due_at = clock_timestamp(), hint_at = clock_timestamp()"
            session.execute(text(f"UPDATE {kind.model.kind} SET {since} WHERE due_at IS NOT NULL"))  # noqa: S608


@pytest.fixture(scope="module")
def hurried() -> Iterator[None]:
    """Nobody waits here: what a wait brings is tested where somebody changes what is waited for."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("web.prefer.LONGEST_SECONDS", 0)
        monkeypatch.setattr("web.streams.STREAM_SECONDS", SECONDS_OF_A_STREAM)
        yield


@pytest.fixture(scope="module")
def url(begin: Begin, postgres: RunningPostgres, valkey: RunningValkey, hurried: None) -> Iterator[str]:
    settings = make_settings(postgres.url("web_fuzz"), valkey.url(2))
    with served(create_app(settings)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def caller(url: str, tokens: Tokens) -> Iterator[Caller]:
    """A student, somebody without a token, two of the staff, the platform, and one whose token is none."""
    staff, platform = tokens.of("staff-1", roles=["staff"]), tokens.of("platform", roles=["service"])
    admin = tokens.of("admin-1", roles=["admin"])
    nobody = {"Authorization": "Bearer none"}
    with requests.Session() as session:
        session.trust_env = False
        session.auth = sign_as_stripe
        yield Caller(url, session, (tokens.of(), {}, staff, admin, platform, nobody))


def sign_as_stripe(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Without a signature no delivery is looked at; every other one has one."""
    body = request.body.encode() if isinstance(request.body, str) else request.body
    if urlsplit(request.url or "").path == WEBHOOK and isinstance(body, bytes) and len(body) % 2:
        request.headers.update(signed(body))
    return request


def cases(operation: Any) -> st.SearchStrategy[Case[Any]]:
    """As the document has it, and not quite."""
    return st.one_of(operation.as_strategy(GenerationMode.POSITIVE), operation.as_strategy(GenerationMode.NEGATIVE))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_answer_is_documented(caller: Caller, operation: Any) -> None:
    """A client that was written from the document meets nothing that it does not know, whatever it sends."""
    share = (REQUESTS - REQUESTS // SHARE_OF_WALKS) // len(OPERATIONS)
    anyone = st.integers(0, len(caller.who) - 1)
    bounded(share)(given(case=cases(operation), who=anyone)(caller.try_out))()
    print(caller.told)
    assert caller.sent > share / 2


EXPECTED_ON_WALKS = {
    ("startPurchase", 202),
    ("startPurchase", 400),
    ("readPurchase", 200),
    ("readPurchase", 404),
    ("followPurchase", 200),
    ("cancelPurchase", 202),
}
"""Walks that never get beyond the first step would prove little."""


@pytest.mark.parametrize("who", ["guest", "student", "platform", "admin"])
def test_every_answer_at_a_bound_is_documented(url: str, tokens: Tokens, tmp_path: Path, who: str) -> None:
    """The shortest, the longest, one more, none at all, and every method that nobody asked for.

    Each caller at the routes that are meant for such, an admin at all of staff; `test_staff_roles.py` has everybody
    there.
    """
    roles = {"student": ["student"], "platform": ["service"], "admin": ["admin"]}
    known = tokens.of(roles=roles[who]) if who in roles else {}
    token = [f"--header={name}: {value}" for name, value in known.items()]
    part = "--include-path-regex" if who == "admin" else "--exclude-path-regex"
    names = ",".join([*(check.__name__ for check in CHECKS), "unsupported_method"])
    options = ["--phases=examples,coverage", "--continue-on-failure", "--no-color", "--seed=1", f"--checks={names}"]
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/api/finances/openapi.json", *options]
    done = subprocess.run(
        [*command, *token, part, "/admin/"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    print(*re.findall(r"\d+ generated.*", done.stdout))
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr


class Walk(PURCHASES.as_state_machine()):  # type: ignore[misc]
    """From a purchase to its status, its events and its cancellation, while a worker does its part.

    Each walk has a buyer of its own, so that nothing depends on the walks before it.
    """

    caller: ClassVar[Caller]
    worker: ClassVar[Worker]
    numbers: ClassVar[Iterator[int]] = count()

    def setup(self) -> None:
        self.buyer = f"buyer-{next(self.numbers)}@example.com"
        self.steps = 0
        self.tokens: dict[str, str] = {}

    def call(self, case: Case[Any], **_: Any) -> Any:
        self.steps += 1
        self.make_likely(case)
        answer = self.caller.send(case, GUEST)
        if answer.status_code == 202 and "access_token" in (accepted := answer.json()):
            self.tokens[accepted["task_id"]] = accepted["access_token"]
            if self.steps % 2 and accepted["status"] == "queued":
                self.worker.prepare(self.worker.newest())
        return answer

    def make_likely(self, case: Case[Any]) -> None:
        """What is made up is hardly ever an e-mail address, or the token of a purchase."""
        if case.operation.label == f"POST {INITIATE}":
            case.body = wish(self.buyer, plan_id=1 + self.steps % 5)
        elif self.steps % 4 and (token := self.tokens.get(case.path_parameters.get("task_id", ""))):
            case.headers["X-Access-Token"] = token

    def validate_response(self, *_: Any, **__: Any) -> None:
        """The caller has done it."""


@pytest.mark.timeout(3600)
def test_every_answer_along_the_links_is_documented(
    caller: Caller, begin: Begin, valkey: RunningValkey, settings: Settings
) -> None:
    """Most of a purchase's answers are only met by whoever has one."""
    Walk.caller = caller
    Walk.worker = Worker(begin, valkey.url(2), Vault(settings.secret_key), datetime.now(UTC))
    walks = REQUESTS // SHARE_OF_WALKS // STEPS
    Walk.run(settings=bounded(walks, stateful_step_count=STEPS))
    print(caller.told)
    assert caller.answers.keys() >= EXPECTED_ON_WALKS
