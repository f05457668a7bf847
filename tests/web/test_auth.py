"""Only a token signed with our key, for us, and not yet expired says who somebody is."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.testclient import TestClient
from typer import Typer
from typer.testing import CliRunner

from billing.cli.token import token as print_token
from billing.config import DEVELOPMENT_JWT_SECRET as SECRET
from billing.config import Settings
from billing.db import Begin
from tests.support.factories import load_purchase
from tests.web.support import API, Tokens, buy
from web.app import create_app

CONFIG = f"{API}stripe/config/"
CLAIMS: dict[str, Any] = {"sub": "user-1", "exp": int(time.time()) + 3600}


def sign(secret: str = SECRET, /, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    given = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(given, secret, algorithm="HS256", headers=headers)


def segment(content: object) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(header: object, claims: object, signature: str = "") -> str:
    return f"{segment(header)}.{segment(claims)}.{signature}"


def by_hand(secret: bytes, header: object, claims: object) -> str:
    """For what the library refuses to sign."""
    signed = f"{segment(header)}.{segment(claims)}"
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), 'sha256'))}"


def status(client: TestClient, header: str) -> int:
    answer = client.get(CONFIG, headers=[(b"Authorization", header.encode())])
    if answer.status_code == 401:
        assert answer.json()["error_type"] == "authentication_required"
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    return answer.status_code


FORGED: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "word": lambda: "rubbish",
    "dots": lambda: "..",
    "no algorithm": lambda: unsigned({"alg": "none", "typ": "JWT"}, CLAIMS),
    "None": lambda: unsigned({"alg": "None"}, CLAIMS),
    "no header": lambda: unsigned([], CLAIMS),
    "bad header": lambda: f"{segment(b'{')}.{segment(CLAIMS)}.x",
    "deep header": lambda: f"{segment(b'[' * 3000)}.{segment(CLAIMS)}.x",
    "other secret": lambda: sign("another secret of at least thirty-two bytes"),
    "other algorithm": lambda: jwt.encode(CLAIMS, "x" * 64, algorithm="HS512"),
    "HS384 of ours": lambda: jwt.encode(CLAIMS, SECRET + "x" * 16, algorithm="HS384"),
    "cut signature": lambda: sign()[:-2],
    "other claims": lambda: ".".join(
        [*sign().split(".")[:1], segment({**CLAIMS, "sub": "admin"}), sign().split(".")[2]]
    ),
    "expired": lambda: sign(exp=int(time.time()) - 60),
    "expired just now": lambda: sign(exp=int(time.time()) - 1),
    "no expiry": lambda: sign(exp=None),
    "expiry in words": lambda: sign(exp="tomorrow"),
    "not yet": lambda: sign(nbf=int(time.time()) + 600),
    "issued later": lambda: sign(iat=int(time.time()) + 600),
    "no sub": lambda: sign(sub=None),
    "empty sub": lambda: sign(sub=""),
    "long sub": lambda: sign(sub="x" * 256),
    "sub with NUL": lambda: sign(sub="a\0b"),
    "sub is half a character": lambda: sign(sub="\ud800"),
    "claims are a list": lambda: f"{segment({'alg': 'HS256'})}.{segment([])}.x",
    "critical extension": lambda: sign(headers={"crit": ["x"], "x": 1}),
    "too long": lambda: sign(name="x" * 9000),
    "bytes": lambda: "\xff\xfe.\xff.\xff",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_401(shared_client: TestClient, name: str) -> None:
    assert status(shared_client, f"Bearer {FORGED[name]()}") == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Basic dTpw", sign(), f"Token {sign()}", f"Bearer {sign()} x"])
def test_another_kind_of_header_is_401(shared_client: TestClient, header: str) -> None:
    assert status(shared_client, header) == 401


def test_two_tokens_are_one_too_many(shared_client: TestClient, tokens: Tokens) -> None:
    headers = [("Authorization", tokens.of(sub)["Authorization"]) for sub in ("user-1", "user-2")]
    assert shared_client.get(CONFIG, headers=headers).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_a_good_token_is_good(shared_client: TestClient, scheme: str) -> None:
    assert status(shared_client, f"{scheme} {sign(roles=['student', 'unheard-of', 7, {}], aud='anybody')}") == 200


def test_no_token_and_a_bad_one_get_the_same_word(shared_client: TestClient) -> None:
    assert shared_client.get(CONFIG).json()["error_type"] == "authentication_required"


def test_an_odd_role_or_address_is_no_reason_to_turn_somebody_away(client: TestClient, begin: Begin) -> None:
    """He is who `sub` says; what cannot be understood gives him no rights."""
    odd = sign(email="nobody", email_verified="true", roles="admin", name={"x": 1})
    headers = {"Authorization": f"Bearer {odd}"}
    purchase = load_purchase(begin, buy(client, **headers).json()["task_id"])
    assert (purchase.caller_sub, purchase.caller_email, purchase.caller_email_verified) == ("user-1", None, False)
    assert client.get(f"{API}student-balance/?email=ana@example.com", headers=headers).status_code == 403


def test_issuer_and_audience_count_where_they_are_configured(settings: Settings) -> None:
    strict = settings.model_copy(update={"jwt_issuer": "https://platform", "jwt_audience": "billing"})
    ours: dict[str, Any] = {"iss": "https://platform", "aud": "billing"}
    with TestClient(create_app(strict)) as client:
        assert status(client, f"Bearer {sign(**ours)}") == 200
        assert status(client, f"Bearer {sign(**{**ours, 'aud': ['other', 'billing']})}") == 200
        for wrong in (
            {"iss": "x"},
            {"aud": "x"},
            {"iss": None},
            {"aud": None},
            {"aud": ["x"]},
        ):
            assert status(client, f"Bearer {sign(**{**ours, **wrong})}") == 401, wrong


def test_no_token_is_logged(client: TestClient, tokens: Tokens, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor a query string, in which an access token may be."""
    bad = sign("another secret of at least thirty-two bytes")
    status(client, f"Bearer {bad}")
    body = buy(client, **tokens.of()).json()
    client.get(body["status_url"], params={"access_token": body["access_token"]})
    logged = "".join(capfd.readouterr())
    assert "purchase/initiate/" in logged
    for secret in (bad, bad.split(".")[2], tokens.of()["Authorization"], body["access_token"], "access_token"):
        assert secret not in logged


# --- published keys ---


class KeyHost:
    """Publishes keys, until it is told to be away."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.published = {"rsa-1": RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True)}
        self.published["ec-1"] = ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True)
        self.is_away = False
        self.asked = 0

    def answer(self) -> bytes:
        self.asked += 1
        if self.is_away:
            raise ConnectionError
        keys = [{**key, "kid": kid, "use": "sig"} for kid, key in self.published.items()]
        return json.dumps({"keys": keys}).encode()


@pytest.fixture
def key_host() -> KeyHost:
    return KeyHost()


@pytest.fixture
def key_url(key_host: KeyHost) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                body = key_host.answer()
            except ConnectionError:
                self.send_error(503)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()
        thread.join()


def published_by(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"jwt_secret": "", "jwt_jwks_url": url})


def test_published_keys_verify_and_nothing_else_does(settings: Settings, key_host: KeyHost, key_url: str) -> None:
    public = RSAAlgorithm.to_jwk(key_host.rsa.public_key())
    with TestClient(create_app(published_by(settings, key_url))) as client:
        good = jwt.encode(CLAIMS, key_host.rsa, algorithm="RS256", headers={"kid": "rsa-1"})
        also = jwt.encode(CLAIMS, key_host.ec, algorithm="ES256", headers={"kid": "ec-1"})
        assert [status(client, f"Bearer {token}") for token in (good, also)] == [200, 200]
        forged = [
            sign(),
            sign(headers={"kid": "rsa-1"}),
            by_hand(public.encode(), {"alg": "HS256", "kid": "rsa-1"}, CLAIMS),
            jwt.encode(CLAIMS, key_host.rsa, algorithm="RS512", headers={"kid": "rsa-1"}),
            jwt.encode(CLAIMS, key_host.rsa, algorithm="RS256", headers={"kid": "ec-1"}),
            jwt.encode(CLAIMS, key_host.rsa, algorithm="RS256"),
            jwt.encode(CLAIMS, KeyHost().rsa, algorithm="RS256", headers={"kid": "rsa-1"}),
        ]
        assert [status(client, f"Bearer {token}") for token in forged] == [401] * len(forged)
        asked = key_host.asked
        for number in range(5):
            unknown = jwt.encode(CLAIMS, key_host.rsa, algorithm="RS256", headers={"kid": f"unknown-{number}"})
            assert status(client, f"Bearer {unknown}") == 401
        assert key_host.asked == asked


def test_a_key_server_that_is_away_is_503_and_not_401(settings: Settings, key_host: KeyHost, key_url: str) -> None:
    """The token may be good; its bearer should try again, not sign in again. Keys known already go on working."""
    token = jwt.encode(CLAIMS, key_host.rsa, algorithm="RS256", headers={"kid": "rsa-1"})
    key_host.is_away = True
    with TestClient(create_app(published_by(settings, key_url))) as client:
        assert [status(client, f"Bearer {token}") for _ in range(5)] == [503] * 5
        assert key_host.asked == 1
        assert client.get(f"{API}pricing-plans/").status_code == 200
    with TestClient(create_app(published_by(settings, key_url))) as client:
        key_host.is_away = False
        assert status(client, f"Bearer {token}") == 200
        key_host.is_away = True
        assert status(client, f"Bearer {token}") == 200


# --- the command ---


def run_token(*arguments: str, **environ: str) -> Any:
    app = Typer()
    app.command()(print_token)
    return CliRunner().invoke(app, arguments, env=environ)


def test_a_token_of_the_command_is_accepted(settings: Settings, client: TestClient) -> None:
    environ = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "STRIPE_SECRET_KEY": settings.stripe_secret_key,
        "STRIPE_PUBLISHABLE_KEY": settings.stripe_publishable_key,
        "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret[0],
    }
    result = run_token("--sub", "user-1", "--email", "ana@example.com", "--role", "staff", **environ)
    claims = jwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["email"], claims["email_verified"], claims["roles"]) == ("ana@example.com", True, ["staff"])
    assert status(client, f"Bearer {result.stdout.strip()}") == 200
    assert run_token("--sub", "user-1", "--role", "king", **environ).exit_code == 2
    refused = run_token("--sub", "user-1", JWT_JWKS_URL="https://keys.example.com/", **environ)
    assert "JWT_JWKS_URL" in str(refused.exception)
