"""The doctor finds out whether mail leaves before a student misses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.cli.doctor.findings import Finding, Health
from billing.cli.doctor.mail import mail_findings
from billing.config import AppEnv, Settings
from billing.errors import ConfigurationError
from billing.local.ports import free_port
from tests.support.environment import make_settings
from tests.support.mail import MailServerOfTests, running_mail_server, write_certificate


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServerOfTests]:
    """A server with a certificate that this machine trusts."""
    certificate = write_certificate(tmp_path / "server.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running_mail_server(certificate) as running:
        yield running


def said(settings: Settings, mail_url: str) -> Finding:
    (finding,) = mail_findings(make_settings(settings.database_url, settings.redis_url, MAIL_URL=mail_url))
    assert finding.subject == "MAIL_URL"
    assert "canary" not in finding.detail + finding.mend
    return finding


def test_a_server_that_takes_us_is_well(settings: Settings, server: MailServerOfTests) -> None:
    finding = said(settings, server.url("user:canary@"))
    assert (finding.health, finding.detail) == (Health.OK, "takes mail, encrypted")
    assert server.mails == []


def test_a_guessed_sender_is_pointed_out(settings: Settings, server: MailServerOfTests) -> None:
    """Most servers refuse, and most readers distrust, an address that is not there."""
    finding = said(settings, server.url(query=""))
    assert finding.health is Health.WARNING
    assert "?from=" in finding.mend


def test_a_password_that_is_not_taken_is_red(settings: Settings, server: MailServerOfTests) -> None:
    server.refusals.extend([("AUTH", "535 5.7.8 canary")] * 3)
    assert said(settings, server.url("user:canary@")).health is Health.RED


def test_a_server_that_is_away_is_red(settings: Settings) -> None:
    finding = said(settings, f"smtp://user:canary@127.0.0.1:{free_port()}/")
    assert finding.health is Health.RED
    assert finding.mend


def test_a_sender_that_is_no_address_stops_the_boot(settings: Settings) -> None:
    """Found by the first mail, it would have kept a worker from everything else."""
    with pytest.raises(ConfigurationError, match=r"MAIL_URL: the sender .* write \?from="):
        said(settings, f"smtp://user:canary@127.0.0.1:{free_port()}/?from=nobody")


@pytest.mark.parametrize(("environment", "health"), [("development", Health.OK), ("production", Health.WARNING)])
def test_files_are_for_development(settings: Settings, environment: str, health: Health) -> None:
    (finding,) = mail_findings(settings.model_copy(update={"app_env": AppEnv(environment)}))
    assert finding.health is health
    assert "outbox" in finding.detail
