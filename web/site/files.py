"""The pages and what they load, read and rendered once: nothing in them depends on who asks."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from billing.config import Settings
from web.site.sign_in import may_sign_in
from web.stripe_config import payment_script

FOLDER = Path(__file__).parent
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PAGES = ("shop", "checkout", "account")


class Asset(NamedTuple):
    body: bytes
    media_type: str


def load_assets() -> Mapping[str, Asset]:
    """By name; what is not listed here cannot be asked for."""
    paths = sorted((FOLDER / "assets").iterdir())
    return {path.name: Asset(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in paths}


def render_pages(settings: Settings) -> Mapping[str, bytes]:
    templates = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    facts = {
        "payment_script": payment_script(settings),
        "is_sandbox": settings.is_sandbox,
        "may_sign_in": may_sign_in(settings),
        "zone": settings.business_timezone,
    }
    return {name: templates.get_template(f"{name}.html").render(facts).encode() for name in PAGES}
