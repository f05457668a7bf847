"""The document as a page, which needs nobody but this service."""

import re
from base64 import b64encode
from hashlib import sha256

import pytest
from starlette.testclient import TestClient

from tests.web.support import API, Tokens

DOCS = "/api/finances/docs"
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
TAGS_THAT_LOAD = re.compile(r"<(?:script|link|img|iframe|object|embed|base)\b[^>]*>")


@pytest.fixture(scope="module")
def page(shared_client: TestClient) -> str:
    answer = shared_client.get(DOCS)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return answer.text


def outside_of_scripts(page: str) -> str:
    return re.sub(r"<(script|style)>.*?</\1>", r"<\1></\1>", page, flags=re.DOTALL)


def directives(shared_client: TestClient) -> dict[str, str]:
    policy = shared_client.get(DOCS).headers["Content-Security-Policy"]
    return dict(directive.strip().split(" ", 1) for directive in policy.split(";"))


def test_the_page_loads_nothing_from_anywhere(page: str, shared_client: TestClient) -> None:
    """Whoever reads the documentation of a billing service tells nobody about it; and it works without a network."""
    loading = TAGS_THAT_LOAD.findall(outside_of_scripts(page))
    assert loading == ['<link rel="icon" href="data:,">', "<script>", "<script>"]
    assert 'url: "openapi.json"' in page
    assert "validatorUrl: null" in page
    allowed = directives(shared_client)
    assert allowed["default-src"] == "'none'"
    assert (allowed["connect-src"], allowed["img-src"]) == ("'self'", "'self' data:")


def test_only_the_scripts_of_the_page_may_run(page: str, shared_client: TestClient) -> None:
    """The policy names them by what they are; nothing that gets into the document can become one."""
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in SCRIPT.findall(page)]
    assert len(hashes) == 2
    assert directives(shared_client)["script-src"].split() == hashes


def test_only_the_page_has_a_policy_of_its_own(shared_client: TestClient) -> None:
    """An answer that is no page may load and run nothing at all."""
    policy = shared_client.get(f"{API}pricing-plans/").headers.get_list("Content-Security-Policy")
    assert policy == ["default-src 'none'; frame-ancestors 'none'"]
    assert len(shared_client.get(DOCS).headers.get_list("Content-Security-Policy")) == 1


def test_the_page_is_sent_once(shared_client: TestClient) -> None:
    """It is large: packed for whoever can read that, and not sent again to whoever has it."""
    packed = shared_client.get(DOCS, headers={"Accept-Encoding": "gzip"})
    plain = shared_client.get(DOCS, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < 700_000 < int(plain.headers["Content-Length"])
    assert packed.text == plain.text
    for answer in (packed, plain):
        asked = {"Accept-Encoding": answer.request.headers["Accept-Encoding"], "If-None-Match": answer.headers["ETag"]}
        assert shared_client.get(DOCS, headers=asked).status_code == 304


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [("br, GZIP ;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.00, br", False), ("x-gzip", False), ("", False)],
)
def test_whoever_cannot_unpack_gets_it_unpacked(shared_client: TestClient, accepted: str, is_packed: bool) -> None:
    answer = shared_client.get(DOCS, headers={"Accept-Encoding": accepted})
    assert ("Content-Encoding" in answer.headers) is is_packed
    assert answer.text.startswith("<!DOCTYPE html>")


def test_a_bad_token_is_refused_here_too(shared_client: TestClient, tokens: Tokens) -> None:
    assert shared_client.get(DOCS, headers={"Authorization": "Bearer none"}).status_code == 401
    assert shared_client.get(DOCS, headers=tokens.of()).status_code == 200
