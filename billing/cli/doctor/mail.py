"""Mail: whether the server takes us, encrypted, and under whose name."""

from billing.cli.doctor.addresses import is_near
from billing.cli.doctor.findings import Finding, Findings, doubtful, red, well
from billing.config import AppEnv, Settings
from billing.errors import ConfigurationError
from billing.notifications.mail import PostUnavailableError
from billing.notifications.post import OUTBOX, server_of
from billing.notifications.server import MailServer
from billing.notifications.smtp import SmtpPost

SUBJECT = "MAIL_URL"


def mail_findings(settings: Settings) -> Findings:
    if settings.mail_url is None:
        yield _outbox(settings)
        return
    try:
        server = server_of(settings.mail_url)
        is_encrypted = SmtpPost(server).try_out()
    except ConfigurationError as error:
        wrong, _, mend = error.lines[0].removeprefix(f"{SUBJECT}: ").partition("; ")
        yield red(SUBJECT, wrong, mend)
    except PostUnavailableError as error:
        yield red(SUBJECT, f"{error}", "mend MAIL_URL, or let this machine reach the server; mail waits for days")
    else:
        yield _server(server, is_encrypted=is_encrypted, is_local=is_near(settings.mail_url))


def _outbox(settings: Settings) -> Finding:
    told = f"mail is written as files under {settings.state_dir / OUTBOX}"
    if settings.app_env is AppEnv.PRODUCTION:
        return doubtful(SUBJECT, f"no student gets any: {told}", "set MAIL_URL=smtp://user:password@host:587/")
    return well(SUBJECT, told)


def _server(server: MailServer, *, is_encrypted: bool, is_local: bool) -> Finding:
    if not server.is_sender_named:
        told = f"takes mail, with {server.sender.addr_spec} as a guessed sender"
        return doubtful(SUBJECT, told, "add ?from=billing@example.com, an address that somebody reads")
    if not is_encrypted and not is_local:
        return doubtful(SUBJECT, "takes mail in the clear", "let the server offer STARTTLS, or use smtps://")
    return well(SUBJECT, f"takes mail{', encrypted' if is_encrypted else ''}")
