"""What a process of the pipeline finds in its environment."""

from billing.config import SANDBOX_PUBLISHABLE_KEY, SANDBOX_SECRET_KEY, SANDBOX_WEBHOOK_SECRET, Settings


def environment(database_url: str, valkey_url: str, **more: str) -> dict[str, str]:
    """With the sandbox's keys, and no sandbox behind them unless STRIPE_API_BASE says where one is.

    Tests buy more than people do: those of the limits set their own.
    """
    return {
        "PURCHASE_LIMIT_ADDRESS": "1000000/h",
        "PURCHASE_LIMIT_USER": "1000000/h",
        "PURCHASE_LIMIT_EMAIL": "1000000/h",
        "STRIPE_CALLS_PER_SECOND": "1000000",
        "STRIPE_CALLS_PER_ENDPOINT": "1000000",
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "STRIPE_SECRET_KEY": SANDBOX_SECRET_KEY,
        "STRIPE_PUBLISHABLE_KEY": SANDBOX_PUBLISHABLE_KEY,
        "STRIPE_WEBHOOK_SECRET": SANDBOX_WEBHOOK_SECRET,
        "STRIPE_API_BASE": "http://127.0.0.1:1",
        **more,
    }


def make_settings(database_url: str, valkey_url: str, **more: str) -> Settings:
    return Settings.load(environment(database_url, valkey_url, **more))
