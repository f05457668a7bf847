"""The page that takes a payment learns from here whose key and whose script it uses."""

from starlette.testclient import TestClient

from billing.config import SANDBOX_PUBLISHABLE_KEY, STRIPE_API, Settings
from tests.web.support import API, Tokens
from web.app import create_app

CONFIG = f"{API}stripe/config/"


def test_beside_the_sandbox_its_script_stands_in(shared_client: TestClient, tokens: Tokens) -> None:
    assert shared_client.get(CONFIG, headers=tokens.of()).json() == {
        "public_key": SANDBOX_PUBLISHABLE_KEY,
        "js_url": "http://127.0.0.1:1/_sandbox/stripe.js",
        "success": True,
    }


def test_with_keys_of_ones_own_the_script_is_stripes(settings: Settings, tokens: Tokens) -> None:
    keys = {"stripe_secret_key": "sk_test_own", "stripe_publishable_key": "pk_test_own", "stripe_api_base": STRIPE_API}
    with TestClient(create_app(settings.model_copy(update=keys))) as client:
        body = client.get(CONFIG, headers=tokens.of()).json()
    assert (body["public_key"], body["js_url"]) == ("pk_test_own", "https://js.stripe.com/v3/")


def test_it_is_for_users(shared_client: TestClient) -> None:
    assert shared_client.get(CONFIG).status_code == 401
