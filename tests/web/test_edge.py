"""Whatever is asked, the answer has one shape, one set of headers and an id."""

import pytest
from starlette.testclient import TestClient

from tests.web.support import API, INITIATE, WEBHOOK, Tokens, buy, wish

ROUTES = {
    INITIATE: "POST",
    WEBHOOK: "POST",
    f"{API}webhooks/stripe/": "POST",
    f"{API}pricing-plans/": "GET, HEAD",
    f"{API}stripe/config/": "GET, HEAD",
    f"{API}student-balance/": "GET, HEAD",
    f"{API}purchase/af6e7bed-2620-4828-a9f2-ae126b087e74/": "GET, HEAD",
    "/healthz": "GET, HEAD",
    "/readyz": "GET, HEAD",
}


def test_every_error_has_the_one_shape(shared_client: TestClient, tokens: Tokens) -> None:
    """A client needs one way to read what went wrong, whatever it was."""
    text = {"Content-Type": "text/plain"}
    answers = {
        "not_found": shared_client.get("/nowhere"),
        "method_not_allowed": shared_client.put(INITIATE),
        "unsupported_media_type": shared_client.post(INITIATE, content=b"{}", headers=text),
        "payload_too_large": shared_client.post(INITIATE, json={"x": "y" * 70_000}),
        "validation_error": shared_client.post(INITIATE, json={}),
        "authentication_required": shared_client.get(f"{API}stripe/config/"),
        "permission_denied": shared_client.get(f"{API}student-balance/?email=ana@example.com", headers=tokens.of()),
        "price_changed": buy(shared_client, wish(plan_id=5, expected_price_eur="1.00")),
        "invalid_signature": shared_client.post(WEBHOOK, content=b"{}"),
    }
    for error_type, answer in answers.items():
        body = answer.json()
        assert answer.status_code >= 400
        assert (body["success"], body["error_type"]) == (False, error_type)
        assert body["message"]
        assert body["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ROUTES)
def test_another_method_is_405_and_says_which_would_do(shared_client: TestClient, path: str) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - set(ROUTES[path].split(", ")):
        answer = shared_client.request(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, ROUTES[path]), method


@pytest.mark.parametrize("path", [path for path in ROUTES if path.endswith("/")])
def test_the_slash_is_part_of_the_path(shared_client: TestClient, path: str) -> None:
    """A redirected POST would lose its body; 404 says at once what is wrong."""
    assert shared_client.request(ROUTES[path].split(",")[0], path[:-1], follow_redirects=False).status_code == 404


def test_both_prefixes_answer_alike(shared_client: TestClient) -> None:
    first, second = (shared_client.get(f"{prefix}pricing-plans/") for prefix in (API, "/api/finances/"))
    assert first.status_code == 200
    assert first.content == second.content


def test_head_is_get_without_a_body(shared_client: TestClient) -> None:
    assert shared_client.head(f"{API}pricing-plans/").status_code == 200


@pytest.mark.parametrize("given", ["order-7.b:c/d~e+f=g", "x" * 64])
def test_a_request_id_travels_with_the_answer(shared_client: TestClient, given: str) -> None:
    assert shared_client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", '{"a":1}', "é"])
def test_an_unsafe_request_id_is_replaced(shared_client: TestClient, given: str) -> None:
    """It ends up in logs and metadata, where nobody should be able to write what he likes."""
    answer = shared_client.get("/healthz", headers=[(b"X-Request-Id", given.encode())])
    assert answer.headers["X-Request-Id"] not in (given, "")


def test_every_answer_protects_the_browser_that_shows_it(shared_client: TestClient) -> None:
    for path in ("/healthz", "/nowhere", f"{API}pricing-plans/"):
        headers = shared_client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_secrets_and_balances_are_not_stored_on_the_way(shared_client: TestClient, tokens: Tokens) -> None:
    bought = buy(shared_client)
    seen = shared_client.get(bought.json()["status_url"], headers={"X-Access-Token": bought.json()["access_token"]})
    balance = shared_client.get(f"{API}student-balance/", headers=tokens.of())
    assert {answer.headers["Cache-Control"] for answer in (bought, seen, balance)} == {"no-store"}


def test_an_unexpected_error_is_500_in_the_same_shape(
    shared_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says nothing of what happened inside."""

    def break_down(*_: object) -> None:
        raise RuntimeError("the key is sk_test_1234")

    monkeypatch.setattr("web.purchases.scope_of", break_down)
    answer = buy(shared_client)
    assert (answer.status_code, answer.json()["error_type"]) == (500, "internal_error")
    assert "sk_test" not in answer.text
