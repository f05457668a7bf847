"""Settings: every row of the contract's table, judged at boot, each complaint with a name and a mend."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from billing.config import (
    DEVELOPMENT_JWT_SECRET,
    DEVELOPMENT_SECRET_KEY,
    SANDBOX_PUBLISHABLE_KEY,
    SANDBOX_SECRET_KEY,
    SANDBOX_WEBHOOK_SECRET,
    STRIPE_API,
    AppEnv,
    Settings,
)
from billing.errors import ConfigurationError

LONG = "0123456789abcdef0123456789abcdef"

NEEDED = {
    "DATABASE_URL": "postgresql://app:db-password@db.example.com/billing",
    "REDIS_URL": "redis://:redis-password@cache.example.com:6379/0",
    "STRIPE_SECRET_KEY": "sk_test_of_the_tests",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_of_the_tests",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_the_tests",
}
PRODUCTION = {
    **NEEDED,
    "APP_ENV": "production",
    "STRIPE_SECRET_KEY": "sk_live_of_the_tests",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_of_the_tests",
    "JWT_SECRET": f"jwt-{LONG}",
    "SECRET_KEY": f"key-{LONG}",
    "ALLOWED_HOSTS": "billing.example.com",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder: no file of a developer counts here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(*layers: Mapping[str, str]) -> Settings:
    return Settings.load({name: value for layer in layers for name, value in layer.items()})


def complaints(*layers: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(*layers)
    return caught.value.lines


DEFAULTS = {
    "app_env": AppEnv.DEVELOPMENT,
    "database_owner_url": NEEDED["DATABASE_URL"],
    "broker_url": NEEDED["REDIS_URL"],
    "stripe_api_base": STRIPE_API,
    "jwt_secret": DEVELOPMENT_JWT_SECRET,
    "jwt_jwks_url": None,
    "jwt_issuer": None,
    "jwt_audience": None,
    "business_timezone": "Europe/Lisbon",
    "zone": ZoneInfo("Europe/Lisbon"),
    "secret_key": (DEVELOPMENT_SECRET_KEY,),
    "expiry_grace_hours": 24,
    "purchase_limit_address": "10/h",
    "purchase_limit_user": "30/h",
    "purchase_limit_email": "5/h",
    "purchase_give_up_minutes": 15,
    "metrics_allow": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
    "trusted_proxies": (),
    "port": 8000,
    "web_concurrency": 1,
    "mail_url": None,
    "state_dir": Path(".billing"),
    "livemode": False,
    "is_sandbox": False,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_is_not_set_has_the_default_of_the_contract(name: str) -> None:
    """A newcomer sets five variables; everything else is what the contract's table says."""
    assert getattr(load(NEEDED), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_is_asked_for_by_name(name: str) -> None:
    """The one clear line of a failed boot says what is missing and where to get it."""
    (line,) = complaints({other: value for other, value in NEEDED.items() if other != name})
    assert line.startswith(f"{name}: is not set; ")
    assert complaints(NEEDED, {name: " "}) == [line]


def test_all_that_is_missing_is_named_at_once() -> None:
    """Mending a boot variable by variable is a morning lost."""
    assert [line.split(":")[0] for line in complaints({})] == list(NEEDED)


TAKEN = [
    ("DATABASE_URL", "postgres://h/d", "database_url", "postgres://h/d"),
    ("DATABASE_OWNER_URL", "postgresql://owner@h/d", "database_owner_url", "postgresql://owner@h/d"),
    ("REDIS_URL", "rediss://h:1/0", "redis_url", "rediss://h:1/0"),
    ("BROKER_URL", "amqp://u:p@h//", "broker_url", "amqp://u:p@h//"),
    ("STRIPE_API_BASE", "http://127.0.0.1:8001", "stripe_api_base", "http://127.0.0.1:8001"),
    ("JWT_SECRET", "short-in-development", "jwt_secret", "short-in-development"),
    ("JWT_ISSUER", "https://issuer", "jwt_issuer", "https://issuer"),
    ("JWT_AUDIENCE", "billing", "jwt_audience", "billing"),
    ("BUSINESS_TIMEZONE", "America/Sao_Paulo", "zone", ZoneInfo("America/Sao_Paulo")),
    ("EXPIRY_GRACE_HOURS", "0", "expiry_grace_hours", 0),
    ("PURCHASE_LIMIT_ADDRESS", "1000/s", "purchase_limit_address", "1000/s"),
    ("PURCHASE_GIVE_UP_MINUTES", "1380", "purchase_give_up_minutes", 1380),
    ("TRUSTED_PROXIES", "10.0.0.1, fd00::/8", "trusted_proxies", (ip_network("10.0.0.1"), ip_network("fd00::/8"))),
    ("METRICS_ALLOW", "10.1.2.3/8", "metrics_allow", (ip_network("10.0.0.0/8"),)),
    ("PORT", " 65535 ", "port", 65535),
    ("WEB_CONCURRENCY", "64", "web_concurrency", 64),
    ("MAIL_URL", "smtp://u:p@mail:25", "mail_url", "smtp://u:p@mail:25"),
    ("STATE_DIR", "elsewhere", "state_dir", Path("elsewhere")),
    ("APP_ENV", "staging", "app_env", AppEnv.STAGING),
]


@pytest.mark.parametrize(("name", "given", "attribute", "expected"), TAKEN)
def test_what_is_set_is_taken(name: str, given: str, attribute: str, expected: object) -> None:
    """A variable that is read and forgotten is worse than one that is refused."""
    assert getattr(load(NEEDED, {name: given}), attribute) == expected


REFUSED = [
    ("APP_ENV", "prod", "'development', 'staging' or 'production'"),
    ("APP_ENV", "Production", "'development', 'staging' or 'production'"),
    ("DATABASE_URL", "mysql://h/d", "write postgresql://host:port/…"),
    ("DATABASE_URL", "postgresql://", "write postgresql://host:port/…"),
    ("DATABASE_URL", "postgresql://h:port/d", "write postgresql://host:port/…"),
    ("DATABASE_OWNER_URL", "db.example.com", "write postgresql://host:port/…"),
    ("REDIS_URL", "http://h", "write redis://host:port/…"),
    ("REDIS_URL", "amqp://h", "write redis://host:port/…"),
    ("BROKER_URL", "kafka://h", "write redis://host:port/…"),
    ("STRIPE_SECRET_KEY", "pk_test_public", "it begins with sk_test_"),
    ("STRIPE_SECRET_KEY", "sk_test_", "it begins with sk_test_"),
    ("STRIPE_PUBLISHABLE_KEY", "sk_test_secret", "it begins with pk_test_"),
    ("STRIPE_WEBHOOK_SECRET", "secret", "begin with whsec_, separated by commas"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_", "begin with whsec_, separated by commas"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_good,bad", "begin with whsec_, separated by commas"),
    ("STRIPE_WEBHOOK_SECRET", ",", "begin with whsec_, separated by commas"),
    ("STRIPE_API_BASE", "ftp://h", "write https://host:port/…"),
    ("JWT_JWKS_URL", "keys.json", "write https://host:port/…"),
    ("JWT_JWKS_URL", "http://keys.example.com/", "use https"),
    ("SECRET_KEY", "short", "at least 32 bytes"),
    ("SECRET_KEY", f"{LONG},short", "at least 32 bytes"),
    ("SECRET_KEY", ",", "at least 32 bytes"),
    ("BUSINESS_TIMEZONE", "Lisbon", "a name like Europe/Lisbon"),
    ("BUSINESS_TIMEZONE", "../etc/passwd", "a name like Europe/Lisbon"),
    ("EXPIRY_GRACE_HOURS", "-1", "greater than or equal to 0"),
    ("EXPIRY_GRACE_HOURS", "a day", "valid integer"),
    ("PURCHASE_LIMIT_ADDRESS", "10", "like 10/h"),
    ("PURCHASE_LIMIT_USER", "0/h", "like 10/h"),
    ("PURCHASE_LIMIT_EMAIL", "5/hour", "like 10/h"),
    ("PURCHASE_GIVE_UP_MINUTES", "0", "greater than or equal to 1"),
    ("PURCHASE_GIVE_UP_MINUTES", "1381", "less than or equal to 1380"),
    ("METRICS_ALLOW", "everyone", "IPv4 or IPv6 network"),
    ("TRUSTED_PROXIES", "10.0.0.1, proxy", "IPv4 or IPv6 network"),
    ("PORT", "0", "greater than or equal to 1"),
    ("PORT", "65536", "less than or equal to 65535"),
    ("PORT", "http", "valid integer"),
    ("WEB_CONCURRENCY", "0", "greater than or equal to 1"),
    ("MAIL_URL", "mail.example.com", "write smtp://host:port/…"),
    ("SENTRY_DSN", "https://key@sentry.example.com/1", "unset it"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317", "unset it"),
]


@pytest.mark.parametrize(("name", "given", "mend"), REFUSED)
def test_a_wrong_value_stops_the_boot_with_its_name_and_a_mend(name: str, given: str, mend: str) -> None:
    """A wrong setting is found at boot by who made it, not at night by who is woken."""
    (line,) = complaints(NEEDED, {name: given})
    assert line.startswith(f"{name}: ")
    assert mend in line
    assert "Value error" not in line


LIVE = {"STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_PUBLISHABLE_KEY": "pk_live_x"}

CONTRADICTIONS = [
    ({"STRIPE_PUBLISHABLE_KEY": "pk_live_x"}, ["STRIPE_PUBLISHABLE_KEY"], "take both from one mode"),
    (LIVE, ["STRIPE_SECRET_KEY"], "use a test key"),
    ({**LIVE, "STRIPE_SECRET_KEY": "rk_live_x"}, ["STRIPE_SECRET_KEY"], "use a test key"),
    (
        {**LIVE, "APP_ENV": "staging", "STRIPE_API_BASE": "https://stripe.example.com"},
        ["STRIPE_API_BASE"],
        "unset STRIPE_API_BASE",
    ),
    (
        {"JWT_SECRET": LONG, "JWT_JWKS_URL": "https://keys.example.com/"},
        ["JWT_SECRET"],
        "unset the other",
    ),
]


@pytest.mark.parametrize(("changes", "names", "mend"), CONTRADICTIONS)
def test_values_that_contradict_each_other_stop_the_boot(
    changes: Mapping[str, str], names: list[str], mend: str
) -> None:
    """Each alone is right, together they would charge real cards in a test, or verify tokens by the wrong key."""
    lines = complaints(NEEDED, changes)
    assert [line.split(":")[0] for line in lines] == names
    assert mend in lines[0]


PRODUCTION_REFUSES = [
    ("a test key", {"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_PUBLISHABLE_KEY": "pk_test_x"}, "STRIPE_SECRET_KEY"),
    ("another Stripe", {"STRIPE_API_BASE": "https://stripe.example.com"}, "STRIPE_API_BASE"),
    ("the sandbox's webhook secret", {"STRIPE_WEBHOOK_SECRET": SANDBOX_WEBHOOK_SECRET}, "STRIPE_WEBHOOK_SECRET"),
    (
        "the sandbox's webhook secret among others",
        {"STRIPE_WEBHOOK_SECRET": f"whsec_good,{SANDBOX_WEBHOOK_SECRET}"},
        "STRIPE_WEBHOOK_SECRET",
    ),
    ("no token secret", {"JWT_SECRET": ""}, "JWT_SECRET"),
    ("the development's token secret", {"JWT_SECRET": DEVELOPMENT_JWT_SECRET}, "JWT_SECRET"),
    ("a short token secret", {"JWT_SECRET": LONG[:31]}, "JWT_SECRET"),
    ("no secret key", {"SECRET_KEY": ""}, "SECRET_KEY"),
    ("the development's secret key", {"SECRET_KEY": DEVELOPMENT_SECRET_KEY}, "SECRET_KEY"),
    ("the development's key for rotation", {"SECRET_KEY": f"{LONG},{DEVELOPMENT_SECRET_KEY}"}, "SECRET_KEY"),
    ("an open broker", {"BROKER_URL": "redis://broker.example.com:6379/0"}, "BROKER_URL"),
    ("an open broker by default", {"REDIS_URL": "redis://broker.example.com:6379/0"}, "BROKER_URL"),
    ("a broker with a user alone", {"BROKER_URL": "amqp://user@broker.example.com//"}, "BROKER_URL"),
]


@pytest.mark.parametrize(
    ("changes", "name"), [pytest.param(changes, name, id=what) for what, changes, name in PRODUCTION_REFUSES]
)
def test_production_refuses_what_is_fit_for_development_only(changes: Mapping[str, str], name: str) -> None:
    """Defaults that everybody can read in this repository must never guard real money."""
    lines = complaints(PRODUCTION, changes)
    assert name in [line.split(":")[0] for line in lines]
    assert all("; " in line for line in lines), "each complaint carries a mend"


def test_production_starts_with_what_is_its_own() -> None:
    """The refusals leave a way to run."""
    settings = load(PRODUCTION)
    assert settings.app_env is AppEnv.PRODUCTION
    assert settings.livemode
    assert load(PRODUCTION, {"REDIS_URL": "redis://127.0.0.1:6379/0"}).livemode
    assert load(PRODUCTION, {"JWT_SECRET": "", "JWT_JWKS_URL": "https://keys.example.com/"}).jwt_secret == ""


def test_the_sandbox_is_refused_in_production_as_a_whole() -> None:
    """Nobody pays with play money for real lessons."""
    sandbox = {
        "STRIPE_SECRET_KEY": SANDBOX_SECRET_KEY,
        "STRIPE_PUBLISHABLE_KEY": SANDBOX_PUBLISHABLE_KEY,
        "STRIPE_WEBHOOK_SECRET": SANDBOX_WEBHOOK_SECRET,
        "STRIPE_API_BASE": "http://127.0.0.1:8001",
    }
    assert load(NEEDED, sandbox).is_sandbox
    refused = {line.split(":")[0] for line in complaints(PRODUCTION, sandbox)}
    assert refused == {"STRIPE_SECRET_KEY", "STRIPE_API_BASE", "STRIPE_WEBHOOK_SECRET"}


def test_secrets_may_be_several_so_that_they_can_be_changed_while_running() -> None:
    """During a rotation the old one is still in use somewhere."""
    settings = load(NEEDED, {"STRIPE_WEBHOOK_SECRET": "whsec_new, whsec_old,", "SECRET_KEY": f"new-{LONG},old-{LONG}"})
    assert settings.stripe_webhook_secret == ("whsec_new", "whsec_old")
    assert settings.secret_key == (f"new-{LONG}", f"old-{LONG}")


def test_development_reads_files_and_the_environment_wins(folder: Path) -> None:
    """Commands beside `make run` find its services; what somebody sets by hand is what counts."""
    (folder / ".billing").mkdir()
    (folder / ".billing" / "services.env").write_text("PORT=1\nWEB_CONCURRENCY=2\nEXPIRY_GRACE_HOURS=3\n")
    (folder / ".env").write_text("PORT=10\nWEB_CONCURRENCY=20\nJWT_ISSUER=\n")
    settings = load(NEEDED, {"PORT": "100", "WEB_CONCURRENCY": ""})
    assert (settings.port, settings.web_concurrency, settings.expiry_grace_hours) == (100, 20, 3)


def test_services_are_looked_for_under_the_state_folder(folder: Path) -> None:
    """Two pipelines on one machine do not find each other's database."""
    (folder / "other").mkdir()
    (folder / "other" / "services.env").write_text("PORT=4242\n")
    assert load(NEEDED, {"STATE_DIR": str(folder / "other")}).port == 4242


@pytest.mark.parametrize("environment", [PRODUCTION, {**NEEDED, "APP_ENV": "staging"}])
def test_no_other_environment_reads_a_file(folder: Path, environment: Mapping[str, str]) -> None:
    """A forgotten file on a server must not decide where the money goes."""
    (folder / ".billing").mkdir()
    (folder / ".billing" / "services.env").write_text("PORT=1\n")
    (folder / ".env").write_text("PORT=2\n")
    assert load(environment).port == 8000


def test_an_empty_app_env_is_development(folder: Path) -> None:
    """`APP_ENV=` is how compose files say "not set"; half of development would be neither."""
    (folder / ".env").write_text("PORT=2\n")
    assert load(NEEDED, {"APP_ENV": ""}).port == 2


def test_a_file_cannot_leave_development(folder: Path) -> None:
    """Files are read in development only, so one that says "production" contradicts itself."""
    (folder / ".env").write_text("\n".join(f"{name}={value}" for name, value in PRODUCTION.items()))
    (line,) = complaints({})
    assert line.startswith("APP_ENV: ")
    assert "in the environment" in line


SECRETS = {
    "DATABASE_URL": "postgresql://app:s3cret@h/d",
    "DATABASE_OWNER_URL": "postgresql://owner:s3cret@h/d",
    "REDIS_URL": "redis://:s3cret@h:6379/0",
    "BROKER_URL": "amqp://u:s3cret@h//",
    "STRIPE_SECRET_KEY": "sk_test_s3cret",
    "STRIPE_WEBHOOK_SECRET": "whsec_s3cret",
    "JWT_SECRET": "s3cret",
    "SECRET_KEY": f"s3cret-{LONG}",
    "MAIL_URL": "smtp://u:s3cret@h:25",
}


def test_no_secret_is_in_what_settings_show() -> None:
    """Settings end up in tracebacks and logs; secrets must not travel with them."""
    settings = load(NEEDED, SECRETS)
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings)


BROKEN_SECRETS = {
    "DATABASE_URL": "mysql://app:s3cret@h/d",
    "DATABASE_OWNER_URL": "mysql://app:s3cret@h/d",
    "REDIS_URL": "http://:s3cret@h",
    "BROKER_URL": "kafka://:s3cret@h",
    "STRIPE_SECRET_KEY": "s3cret",
    "STRIPE_WEBHOOK_SECRET": "s3cret",
    "SECRET_KEY": "s3cret",
    "MAIL_URL": "http://u:s3cret@h",
}


@pytest.mark.parametrize("name", BROKEN_SECRETS)
def test_no_complaint_repeats_a_secret(name: str) -> None:
    """A boot's complaint is read in a terminal, a log and a ticket."""
    assert "s3cret" not in "".join(complaints(NEEDED, {name: BROKEN_SECRETS[name]}))


def test_settings_are_frozen() -> None:
    """Nobody changes what a process runs with behind its back."""
    settings = load(NEEDED)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("ALLOWED_HOSTS", "Billing.Example.com, *.example.org", ("billing.example.com", "*.example.org")),
        ("ALLOWED_HOSTS", "10.0.0.1,[::1],localhost", ("10.0.0.1", "[::1]", "localhost")),
        ("ALLOWED_HOSTS", "", ("*",)),
        ("CORS_ORIGINS", "https://Shop.example.com, http://localhost:3000", None),
        ("CORS_ORIGINS", "", ()),
    ],
)
def test_hosts_and_origins_are_lists(name: str, given: str, expected: tuple[str, ...] | None) -> None:
    """Everything in development, nothing from elsewhere: a newcomer's browser works, a stranger's page does not."""
    origins = ("https://shop.example.com", "http://localhost:3000")
    assert getattr(load(NEEDED, {name: given}), name.lower()) == (origins if expected is None else expected)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("ALLOWED_HOSTS", given) for given in (",", "https://a.example", "a.example:8000", "a b", "*a.example", "-")),
        *(("ALLOWED_HOSTS", given) for given in ("a.*.example", "a..example", "**", "a.example/", "[g]")),
        *(("CORS_ORIGINS", given) for given in ("*", "null", "shop.example.com", "https://*.example.com")),
        *(("CORS_ORIGINS", given) for given in ("https://a.example/", "https://a.example:443", "ftp://a.example")),
    ],
)
def test_a_wrong_host_or_origin_stops_the_boot(name: str, given: str) -> None:
    """A pattern that matches nothing locks callers out, one that matches too much lets strangers in."""
    (line,) = complaints(NEEDED, {name: given})
    assert line.startswith(f"{name}: ")
    assert "; write " in line


@pytest.mark.parametrize("hosts", ["", "*", "billing.example.com,*"])
def test_production_answers_to_its_own_names_only(hosts: str) -> None:
    """A request for another name is a mistake, or an attempt to have links and caches speak for somebody else."""
    (line,) = complaints(PRODUCTION, {"ALLOWED_HOSTS": hosts})
    assert line.startswith("ALLOWED_HOSTS: ")
    assert "; list them" in line
