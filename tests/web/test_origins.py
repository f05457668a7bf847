"""Whose name a request may be for, and whose pages may read the answer."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from billing.config import AppEnv, Settings
from tests.web.support import API, INITIATE, Tokens, buy, wish
from web.app import create_app

SHOP = "https://shop.example.com"
PREFLIGHT = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
PLANS = f"{API}pricing-plans/"


@pytest.fixture
def listed(settings: Settings) -> Iterator[TestClient]:
    """A door with a list of its names and of the origins that it lets in."""
    lists = {"allowed_hosts": ("billing.example.com", "*.lessons.example", "[::1]"), "cors_origins": (SHOP,)}
    app = create_app(settings.model_copy(update=lists))
    with TestClient(app, raise_server_exceptions=False, base_url="http://billing.example.com") as client:
        yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("billing.example.com", 200),
        ("Billing.Example.COM:8443", 200),
        ("billing.example.com.", 200),
        ("a.b.lessons.example", 200),
        ("[::1]:8000", 200),
        ("lessons.example", 400),
        ("evil-lessons.example", 400),
        ("billing.example.com.evil.example", 400),
        ("evil.example", 400),
        ("127.0.0.1", 400),
        ("billing.example.com:x", 400),
        ("billing.example.com:80:80", 400),
        ("billing.example.com@evil.example", 400),
        ("billing.example.com/", 400),
        ("", 400),
        ("é.lessons.example", 400),
    ],
)
def test_only_requests_for_our_names_are_answered(listed: TestClient, host: str, status: int) -> None:
    """Whatever believes the Host header, a cache or a page, must not be made to speak for somebody else."""
    answer = listed.get(PLANS, headers=[(b"Host", host.encode())])
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error_type"] == "unknown_host"
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_two_hosts_are_none(listed: TestClient, shared_client: TestClient) -> None:
    """A proxy may have believed the other one; nobody sends two by accident."""
    two = [(b"Host", b"billing.example.com"), (b"Host", b"evil.example")]
    assert listed.get(PLANS, headers=two).status_code == 400
    assert shared_client.get(PLANS, headers=two).status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_told_to_whoever_asks_by_address(listed: TestClient, path: str) -> None:
    """Balancers know machines, not names."""
    assert listed.get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_without_a_list_every_name_will_do(shared_client: TestClient) -> None:
    assert shared_client.get(PLANS, headers={"Host": "laptop.local:8000"}).status_code == 200


def test_foreign_pages_are_let_in_only_if_listed(listed: TestClient) -> None:
    """A page of somebody else's must not read what its visitor may see."""
    assert listed.get(PLANS, headers={"Origin": SHOP}).headers["Access-Control-Allow-Origin"] == SHOP
    for origin in ("https://evil.example", "http://shop.example.com", f"{SHOP}.evil.example", "null", "*", ""):
        answer = listed.get(PLANS, headers={"Origin": origin})
        assert answer.status_code == 200
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


def test_no_answer_allows_credentials_or_everybody(listed: TestClient, tokens: Tokens) -> None:
    for answer in (
        listed.options(INITIATE, headers=PREFLIGHT),
        buy(listed, Origin=SHOP, **tokens.of()),
        listed.get(PLANS, headers={"Origin": SHOP}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_preflight_of_a_listed_page_says_what_it_may_send(listed: TestClient) -> None:
    """Everything the contract lets a caller send, it may send from a page as well."""
    asked = "authorization, content-type, idempotency-key, prefer, x-access-token, if-none-match, last-event-id"
    answer = listed.options(INITIATE, headers={**PREFLIGHT, "Access-Control-Request-Headers": asked})
    assert (answer.status_code, answer.content) == (204, b"")
    assert {"GET", "POST", "PATCH", "DELETE"} == set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert set(asked.split(", ")) <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_any_other_options_is_a_method_that_is_not_answered(listed: TestClient, shared_client: TestClient) -> None:
    """Nothing is listed by default, so nobody's preflight succeeds."""
    assert shared_client.options(INITIATE, headers=PREFLIGHT).status_code == 405
    assert listed.options(INITIATE, headers={**PREFLIGHT, "Origin": "https://evil.example"}).status_code == 405
    assert listed.options(INITIATE, headers={"Origin": SHOP}).status_code == 405
    assert "Access-Control-Allow-Origin" not in shared_client.get(PLANS, headers={"Origin": SHOP}).headers


def test_a_listed_page_may_read_why_it_was_refused(listed: TestClient) -> None:
    """Without the header a browser shows its page a network error for every refusal."""
    for answer in (
        buy(listed, wish(plan_id=999), Origin=SHOP),
        listed.get("/nowhere", headers={"Origin": SHOP}),
        listed.get(f"{API}stripe/config/", headers={"Origin": SHOP}),
    ):
        assert answer.status_code >= 400
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP
        assert "retry-after" in answer.headers["Access-Control-Expose-Headers"].split(", ")


def test_production_is_https_only(settings: Settings) -> None:
    production = settings.model_copy(update={"app_env": AppEnv.PRODUCTION})
    with TestClient(create_app(production), raise_server_exceptions=False) as client:
        for path in (PLANS, "/nowhere"):
            assert client.get(path).headers["Strict-Transport-Security"] == "max-age=31536000"
