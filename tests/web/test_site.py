"""The pages as the door serves them: what they may load, what they are told, and who may sign in by himself."""

import re
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from starlette.testclient import TestClient

import web.site
from billing.config import DEVELOPMENT_JWT_SECRET, Settings
from tests.support.environment import environment
from tests.web.support import API, Tokens
from web.app import create_app
from web.site.files import load_assets
from web.site.policy import page_policy
from web.stripe_config import payment_script

PAGES = ("/shop/", "/shop/checkout/2/", "/account/")
SIGN_IN = "/account/sign-in/"
SANDBOX = "http://127.0.0.1:1"
ASSETS = sorted(load_assets())
FOREIGN = re.compile(r"""\b(?:https?|wss?)://(?!www\.w3\.org/)|["'`(]//\w""")
AS_MARKUP = re.compile(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function)\b")


@pytest.fixture
def settings_of_stripe(database_url: str, valkey_url: str) -> Settings:
    """Test keys of Stripe itself, and no sandbox."""
    keys = {"STRIPE_SECRET_KEY": "sk_test_" + "1" * 24, "STRIPE_PUBLISHABLE_KEY": "pk_test_" + "1" * 24}
    given = {**environment(database_url, valkey_url), **keys, "APP_ENV": "staging", "JWT_SECRET": "s" * 40}
    given |= {"SECRET_KEY": "k" * 40, "STRIPE_WEBHOOK_SECRET": "whsec_" + "1" * 32}
    return Settings.load({name: value for name, value in given.items() if name != "STRIPE_API_BASE"})


@pytest.fixture
def real(settings_of_stripe: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings_of_stripe), raise_server_exceptions=False) as client:
        yield client


def rules(policy: str) -> dict[str, str]:
    return dict(rule.split(" ", 1) for rule in policy.split("; "))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_load_its_own_files_and_the_payment_script_only(shared_client: TestClient, path: str) -> None:
    """Nothing inline: what somebody smuggles into a page does not run."""
    page = shared_client.get(path)
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers.get_list("X-Frame-Options") == ["DENY"]
    assert page.headers["Cache-Control"] == "public, no-cache"
    (policy,) = page.headers.get_list("Content-Security-Policy")
    assert rules(policy) == {
        "default-src": "'none'",
        "script-src": f"'self' {SANDBOX}",
        "connect-src": f"'self' {SANDBOX}",
        "frame-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_with_stripes_keys_the_script_is_stripes_own(real: TestClient, settings_of_stripe: Settings) -> None:
    """And the page does not speak of tests."""
    page = real.get("/shop/checkout/2/")
    policy = rules(page.headers["Content-Security-Policy"])
    assert policy["script-src"] == "'self' https://js.stripe.com"
    assert policy["connect-src"] == "'self' https://api.stripe.com"
    assert policy["frame-src"] == "https://js.stripe.com https://hooks.stripe.com"
    assert 'data-payment-script="https://js.stripe.com/' in page.text
    assert "Test mode" not in page.text
    assert "unsafe" not in page_policy(settings_of_stripe)


def test_the_script_is_the_one_that_the_api_names(
    shared_client: TestClient, tokens: Tokens, settings: Settings
) -> None:
    """A guest cannot ask for it; two answers would be two checkouts."""
    named = shared_client.get(f"{API}stripe/config/", headers=tokens.of()).json()["js_url"]
    assert payment_script(settings) == named
    assert f'data-payment-script="{named}"' in shared_client.get("/shop/checkout/2/").text


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_script_or_a_style_inside(shared_client: TestClient, path: str) -> None:
    """Its policy would forbid them, in a browser where nobody looks at the console."""
    text = shared_client.get(path).text
    assert "<style" not in text
    assert " style=" not in text
    assert re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL) == [""]
    assert re.findall(r"\son\w+=", text) == []


def test_the_root_leads_to_the_plans(shared_client: TestClient) -> None:
    answer = shared_client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (307, "/shop/")


@pytest.mark.parametrize("name", ASSETS)
def test_a_file_is_sent_once(shared_client: TestClient, name: str) -> None:
    first = shared_client.get(f"/site/{name}")
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "public, no-cache")
    again = shared_client.get(f"/site/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["pages.py", "..%2Froutes.py", "%2e%2e/routes.py", "page.html", "shop.js/", ""])
def test_only_the_files_of_pages_can_be_had(shared_client: TestClient, name: str) -> None:
    """The folder beside them is the door's own code."""
    assert shared_client.get(f"/site/{name}").status_code == 404


@pytest.mark.parametrize("name", ASSETS)
def test_no_file_names_a_host_or_takes_words_for_markup(name: str) -> None:
    """No request goes elsewhere, and what a buyer calls himself stays a name."""
    text = load_assets()[name].body.decode()
    assert FOREIGN.findall(text) == []
    assert AS_MARKUP.findall(text) == []


@pytest.mark.parametrize("name", [name for name in ASSETS if name.endswith(".js")])
def test_every_module_that_is_imported_is_there(name: str) -> None:
    """And none lies about that nobody loads."""
    folder = Path(web.site.__file__).parent
    text = load_assets()[name].body.decode()
    assert set(re.findall(r'from "\./([\w.]+)"', text)) <= set(ASSETS)
    everything = [path.read_text() for path in (*folder.glob("assets/*.js"), *folder.glob("templates/*.html"))]
    assert any(f'"./{name}"' in one or f"}}{name}{{" in one for one in everything)


def test_the_rules_see_what_they_forbid() -> None:
    """A rule that cannot fail proves nothing."""
    assert FOREIGN.search('fetch("https://example.com/")')
    assert FOREIGN.search("url(//fonts.example/a)")
    assert AS_MARKUP.search("node.innerHTML = name")


def test_in_development_whoever_one_says_one_is_is_believed(shared_client: TestClient) -> None:
    """With the token that `billing token` would make: a student's, of a proven address."""
    page = shared_client.get("/account/")
    assert "data-may-sign-in" in page.text
    answer = shared_client.post(SIGN_IN, json={"email": " Ana@Example.com ", "name": "Ana"})
    assert answer.status_code == 200
    token = answer.json()["token"]
    claims = jwt.decode(token, DEVELOPMENT_JWT_SECRET, algorithms=["HS256"])
    claims.pop("exp")
    known = {"sub": "ana", "email": "ana@example.com", "email_verified": True, "name": "Ana", "roles": ["student"]}
    assert claims == known
    balance = shared_client.get(f"{API}student-balance/", headers={"Authorization": f"Bearer {token}"})
    assert balance.status_code == 200


def test_a_sign_in_may_name_another_id(shared_client: TestClient) -> None:
    token = shared_client.post(SIGN_IN, json={"email": "ana@example.com", "user_id": "7"}).json()["token"]
    assert jwt.decode(token, DEVELOPMENT_JWT_SECRET, algorithms=["HS256"])["sub"] == "7"


@pytest.mark.parametrize(
    ("body", "field"), [({}, "email"), ({"email": "x"}, "email"), ({"email": "a@b.pt", "user_id": "\n"}, "user_id")]
)
def test_a_wrong_sign_in_is_complained_of_beside_its_field(
    shared_client: TestClient, body: dict[str, str], field: str
) -> None:
    answer = shared_client.post(SIGN_IN, json=body)
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, [field])


def test_another_page_cannot_sign_anybody_in(shared_client: TestClient) -> None:
    """A form of a foreign page sends no JSON without a preflight, and that is refused."""
    answer = shared_client.post(SIGN_IN, data={"email": "ana@example.com"})
    assert answer.status_code == 415
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    assert shared_client.options(SIGN_IN, headers=asked).status_code == 405


def test_elsewhere_nobody_signs_himself_in(real: TestClient) -> None:
    """Neither by the page nor by the address behind it."""
    assert "data-may-sign-in" not in real.get("/account/").text
    assert real.post(SIGN_IN, json={"email": "ana@example.com"}).status_code == 404


@pytest.mark.parametrize("secret", ["another-secret-of-thirty-two-bytes-or-more"])
def test_a_secret_of_ones_own_ends_the_sign_in_of_development(database_url: str, valkey_url: str, secret: str) -> None:
    """Tokens of such an installation mean something."""
    settings = Settings.load(environment(database_url, valkey_url, JWT_SECRET=secret))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        assert "data-may-sign-in" not in client.get("/account/").text
        assert client.post(SIGN_IN, json={"email": "ana@example.com"}).status_code == 404
