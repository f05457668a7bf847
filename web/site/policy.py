"""What a page may load, and from where: its own files, and the one script that takes the payment."""

from urllib.parse import urlsplit

from billing.config import Settings

STRIPE = {
    "script-src": "https://js.stripe.com",
    "connect-src": "https://api.stripe.com",
    "frame-src": "https://js.stripe.com https://hooks.stripe.com",
}
"""What Stripe's own script needs (Stripe's documentation, "Integration security guide")."""


def page_policy(settings: Settings) -> str:
    """No inline script or style, no frame around the page, and in sandbox mode no host but ours and the sandbox's."""
    theirs = _of_the_sandbox(settings) if settings.is_sandbox else STRIPE
    rules = {
        "default-src": "'none'",
        "script-src": _with_ours(theirs, "script-src"),
        "connect-src": _with_ours(theirs, "connect-src"),
        "frame-src": theirs.get("frame-src", "'none'"),
        "style-src": "'self'",
        "img-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def _of_the_sandbox(settings: Settings) -> dict[str, str]:
    address = urlsplit(settings.stripe_api_base)
    origin = f"{address.scheme}://{address.netloc}"
    return {"script-src": origin, "connect-src": origin}


def _with_ours(theirs: dict[str, str], name: str) -> str:
    return f"'self' {theirs[name]}"
