"""PostgreSQL: reachable, new enough, migrated, durable, guarded; and whether somebody works on what waits."""

from datetime import datetime, timedelta

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cli.doctor.addresses import place
from billing.cli.doctor.findings import Finding, Findings, doubtful, judged, red, well
from billing.cli.reading import ask_at
from billing.clock import machine_now
from billing.config import AppEnv, Settings
from billing.errors import BillingError
from billing.migrate import APPEND_ONLY, newest_revision, role_of
from billing.plans import DEFAULT_PLANS
from billing.reads.readiness import OVERDUE_SECONDS, DatabaseState, look_at_database
from billing.redaction import redacted_text

OLDEST_SERVER = 15
SKEW = timedelta(seconds=5)
SLOW_SECONDS = 10.0

SERVER = text("""
    SELECT current_setting('server_version') AS version, CAST(current_setting('server_version_num') AS int) AS number,
        clock_timestamp() AS now, pg_is_in_recovery() AS is_standby,
        has_schema_privilege('public', 'CREATE') AS may_create,
        (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_super,
        (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'billing worker') AS workers
""")
RIGHTS = text("""
    SELECT privilege || ' ' || name FROM unnest(CAST(:tables AS text[])) AS name,
        unnest(CAST(:privileges AS text[])) AS privilege
    WHERE has_table_privilege(to_regclass(name), privilege) IS TRUE ORDER BY 1
""")
TRIGGERS = text("SELECT count(*) FROM pg_trigger WHERE tgname = 'append_only' AND tgenabled IN ('O', 'A')")
PLANS = text("SELECT array_agg(code) AS codes, (SELECT count(*) FROM plan_on_sale) AS on_sale FROM pricing_plan")
GAVE_UP = text("SELECT count(*) FROM dead_letter WHERE state = 'dead'")


def postgres_findings(settings: Settings) -> Findings:
    try:
        yield from _looked_at(settings)
    except (BillingError, DBAPIError) as error:
        yield _away("PostgreSQL", settings.database_url, error)


def _looked_at(settings: Settings) -> Findings:
    server = _one(settings.database_url, SERVER)
    yield from _server(settings, server)
    yield from _owner(settings)
    state = ask_at(settings.database_url, look_at_database)
    yield _migrations(state)
    if state.revision == newest_revision():
        yield _durability(state, settings)
        yield from _ledger(settings, server)
        yield _plans(_one(settings.database_url, PLANS))
        yield from _work(settings, state, server["workers"])


def _server(settings: Settings, server: RowMapping) -> Findings:
    told = f"{server['version'].split()[0]} at {place(settings.database_url)}"
    mend = f"version {OLDEST_SERVER} or newer is needed; upgrade the server"
    yield judged("PostgreSQL", told, mend, is_well=server["number"] // 10_000 >= OLDEST_SERVER)
    if server["is_standby"]:
        yield red("primary", "the server is a standby and takes no writes", "point DATABASE_URL at the primary")
    yield skew_finding("clock of PostgreSQL", server["now"], machine_now())


def skew_finding(subject: str, theirs: datetime, ours: datetime) -> Finding:
    apart = abs(theirs - ours)
    detail = f"{apart.total_seconds():.1f} s from this machine's"
    return judged(subject, detail, "let both machines keep time by NTP", is_well=apart <= SKEW)


def _owner(settings: Settings) -> Findings:
    url = settings.database_owner_url
    if url == settings.database_url:
        return
    try:
        may_create = _one(url, SERVER)["may_create"]
    except (BillingError, DBAPIError) as error:
        yield _away("DATABASE_OWNER_URL", url, error)
        return
    mend = f"GRANT CREATE ON SCHEMA public TO {role_of(url)}"
    yield judged("DATABASE_OWNER_URL", f"{role_of(url)} migrates at {place(url)}", mend, is_well=may_create)


def _migrations(state: DatabaseState) -> Finding:
    newest = newest_revision() or ""
    if state.revision is None:
        return red("migrations", "nothing was ever migrated here", "run `billing migrate`")
    if state.revision > newest:
        told = f"the schema is at {state.revision}, newer than this version, which knows {newest}"
        return red("migrations", told, "deploy the version that migrated it")
    told = f"the schema is at {state.revision} of {newest}"
    return judged("migrations", told, "run `billing migrate`", is_well=state.revision == newest)


def _durability(state: DatabaseState, settings: Settings) -> Finding:
    subject, mend = "durability", "set fsync = on and synchronous_commit = on"
    if state.is_durable:
        return well(subject, "what is committed survives a power cut")
    told = "a power cut could lose what was acknowledged"
    return (doubtful if settings.app_env is AppEnv.DEVELOPMENT else red)(subject, told, mend)


def _ledger(settings: Settings, server: RowMapping) -> Findings:
    is_guarded = _one(settings.database_url, TRIGGERS)["count"] == len(APPEND_ONLY)
    told = "triggers refuse changes of entries" if is_guarded else "the triggers that refuse changes are off or gone"
    yield judged("ledger", told, "ALTER TABLE … ENABLE TRIGGER append_only on each of its tables", is_well=is_guarded)
    yield _only_role(settings) if settings.database_owner_url == settings.database_url else _role(settings, server)


def _only_role(settings: Settings) -> Finding:
    if settings.app_env is AppEnv.DEVELOPMENT:
        return well("role", "one role for all, in development")
    mend = "give the application a role of its own, and the owner's URL as DATABASE_OWNER_URL"
    return doubtful("role", f"{role_of(settings.database_url)} owns the tables and could drop the triggers", mend)


def _role(settings: Settings, server: RowMapping) -> Finding:
    """What the role of the application may do beyond reading the ledger and adding to it."""
    role, mend = role_of(settings.database_url), "run `billing migrate`, which grants what is needed and no more"
    excess = _rights(settings, "UPDATE", "DELETE", "TRUNCATE")
    excess += ["create tables"] if server["may_create"] else []
    excess += ["do anything, as a superuser"] if server["is_super"] else []
    if excess:
        return red("role", f"{role} may {', '.join(excess)}", mend)
    if len(_rights(settings, "SELECT", "INSERT")) < 2 * len(APPEND_ONLY):
        return red("role", f"{role} may not even read and add in the ledger", mend)
    return well("role", f"{role} may only read the ledger and add to it")


def _rights(settings: Settings, *privileges: str) -> list[str]:
    asked = {"tables": list(APPEND_ONLY), "privileges": list(privileges)}

    async def read(connection: AsyncConnection) -> list[str]:
        return list((await connection.execute(RIGHTS, asked)).scalars())

    return ask_at(settings.database_url, read)


def _plans(found: RowMapping) -> Finding:
    missing = [plan.code for plan in DEFAULT_PLANS if plan.code not in (found["codes"] or ())]
    if not found["on_sale"]:
        return red("plans", "nothing is on sale", "run `billing plans load-defaults`")
    if missing:
        told = f"{found['on_sale']} on sale, without the default {', '.join(missing)}"
        return doubtful("plans", told, "`billing plans load-defaults --force` adds those, if they are wanted")
    return well("plans", f"{found['on_sale']} on sale")


def _work(settings: Settings, state: DatabaseState, workers: int) -> Findings:
    mend = "start the workers of the Procfile, or more of them"
    told = f"the oldest work that is due waits {state.overdue_seconds:.0f} s; {workers} connections of workers"
    if state.overdue_seconds > OVERDUE_SECONDS:
        yield red("workers", told, mend)
    elif state.overdue_seconds > SLOW_SECONDS or not workers:
        yield doubtful("workers", told if workers else "no worker is connected", mend)
    else:
        yield well("workers", told)
    if gave_up := _one(settings.database_url, GAVE_UP)["count"]:
        yield doubtful("dead letters", f"{gave_up} gave up", "see `billing deadletters list`")


def _away(subject: str, url: str, error: Exception) -> Finding:
    mend = "start it, or mend the URL; `make run` brings one along"
    return red(subject, f"cannot be used at {place(url)}: {_reason(error)}", mend)


def _reason(error: Exception) -> str:
    """The driver's first line: it names the host, the role or the database that is wrong."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    lines = str(getattr(cause, "orig", None) or error).strip().splitlines()
    return redacted_text(lines[0] if lines else type(error).__name__)


def _one(url: str, statement: TextClause) -> RowMapping:
    async def read(connection: AsyncConnection) -> RowMapping:
        return (await connection.execute(statement)).mappings().one()

    return ask_at(url, read)
