"""Transactions: errors in our words, bounds that the server keeps, and the ends of those that hang."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from billing import db
from billing.errors import ConflictError, DatabaseUnavailableError, LockTimeoutError
from tests.support.servers import RunningPostgres, running_postgres

CLOSED_PORT = "postgresql://nobody@127.0.0.1:1/none"
CONNECT_BOUND_SECONDS = 4.0
"""Two seconds to connect, and room for a busy machine."""

ROWS = text("INSERT INTO beat_slot (entry, slot) VALUES ('one', '2026-03-02Z'), ('two', '2026-03-02Z')")
COUNT = text("SELECT count(*) FROM beat_slot")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningPostgres]:
    """A server of this module's own, which it may freeze."""
    with running_postgres() as own:
        yield own


@pytest.fixture
def frozen(server: RunningPostgres) -> Iterator[RunningPostgres]:
    server.freeze()
    yield server
    server.thaw()


def _lock(session: Session, entry: str) -> None:
    session.execute(text("SELECT 1 FROM beat_slot WHERE entry = :entry FOR UPDATE"), {"entry": entry})


def test_a_block_commits_as_a_whole_or_not_at_all(begin: db.Begin) -> None:
    """Half of a transaction is a lost or a doubled hour."""
    with pytest.raises(ZeroDivisionError), begin() as session:  # noqa: PT012
        session.execute(ROWS)
        _ = 1 / 0
    with begin() as session:
        assert session.execute(COUNT).scalar_one() == 0
        session.execute(ROWS)
    with begin() as session:
        assert session.execute(COUNT).scalar_one() == 2


def test_an_async_block_commits_as_a_whole_or_not_at_all(begin: db.Begin, database_url: str) -> None:
    """The door answers 202 for what its block committed, so an error in it must leave nothing."""

    async def run() -> None:
        engine = db.connect_async(database_url, "tests")
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with db.begin_async(engine) as connection:
                await connection.execute(ROWS)
                _ = 1 / 0
        async with db.begin_async(engine) as connection:
            assert (await connection.execute(COUNT)).scalar_one() == 0
            await connection.execute(ROWS)
        await engine.dispose()

    asyncio.run(run())
    with begin() as session:
        assert session.execute(COUNT).scalar_one() == 2


@pytest.fixture
def watchful(database_url: str) -> Iterator[db.Begin]:
    """Transactions whose server looks for deadlocks after 50 ms rather than a second."""
    engine = db.connect(database_url, "tests", deadlock_timeout="50ms")
    yield partial(db.begin, engine)
    engine.dispose()


class Crossing:
    """Two transactions that lock two rows, each in the other's order, and meet in the middle the first time."""

    def __init__(self, begin: db.Begin) -> None:
        with begin() as session:
            session.execute(ROWS)
        self._middle = threading.Barrier(2)
        self.runs = 0
        self.conflicts: list[ConflictError] = []

    def run(self, transaction: Callable[[Callable[[Session], None]], None]) -> None:
        orders = (("one", "two"), ("two", "one"))
        threads = [threading.Thread(target=self._guarded, args=(transaction, order)) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, transaction: Callable[[Callable[[Session], None]], None], order: tuple[str, str]) -> None:
        met = False

        def work(session: Session) -> None:
            nonlocal met
            self.runs += 1
            _lock(session, order[0])
            if not met:
                met = True
                self._middle.wait(timeout=10)
            _lock(session, order[1])

        try:
            transaction(work)
        except ConflictError as error:
            self.conflicts.append(error)


def test_the_victim_of_a_deadlock_hears_of_a_conflict(watchful: db.Begin) -> None:
    """A deadlock is nobody's fault and nothing happened: the caller has to know that it may simply repeat."""
    crossing = Crossing(watchful)

    def once(work: Callable[[Session], None]) -> None:
        with watchful() as session:
            work(session)

    crossing.run(once)
    assert len(crossing.conflicts) == 1


def test_repeated_runs_the_victim_of_a_deadlock_again(watchful: db.Begin) -> None:
    """Both use cases end well; a victim that repeats before the other has committed may be the victim again."""
    crossing = Crossing(watchful)
    crossing.run(partial(db.repeated, watchful))
    assert crossing.conflicts == []
    assert crossing.runs >= 3


def test_repeated_gives_the_result_and_ends_after_its_tries(begin: db.Begin) -> None:
    """A conflict that never ends is not hidden by a loop that never ends."""
    calls: list[int] = []

    def unlucky(session: Session) -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ConflictError("again")
        return "done"

    def cursed(session: Session) -> None:
        calls.append(1)
        raise ConflictError("again")

    assert db.repeated(begin, unlucky, tries=3) == "done"
    calls.clear()
    with pytest.raises(ConflictError):
        db.repeated(begin, cursed, tries=3)
    assert len(calls) == 3


def test_repeated_repeats_conflicts_only(begin: db.Begin) -> None:
    """Repeating what failed for another reason would run a broken use case four times."""
    calls: list[int] = []

    def broken(session: Session) -> None:
        calls.append(1)
        raise LockTimeoutError("locked")

    with pytest.raises(LockTimeoutError):
        db.repeated(begin, broken)
    assert len(calls) == 1


def test_a_serialization_failure_is_a_conflict_too(begin: db.Begin) -> None:
    """The same mend: run it again."""
    with begin() as session:
        session.execute(ROWS)
    with pytest.raises(ConflictError), begin() as session:  # noqa: PT012  (the failure comes from the second change)
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        session.execute(COUNT)
        with begin() as other:
            other.execute(text("UPDATE beat_slot SET slot = slot + interval '1 day'"))
        session.execute(text("UPDATE beat_slot SET slot = slot + interval '1 day'"))


def test_a_row_that_stays_locked_is_a_lock_timeout(begin: db.Begin, database_url: str) -> None:
    """Nobody waits for ever behind a stuck neighbour, and the wait is told from a database that is away."""
    hasty = db.connect(database_url, "tests", lock_timeout="100ms")
    with begin() as session:
        session.execute(ROWS)
    with begin() as session:
        _lock(session, "one")
        with pytest.raises(LockTimeoutError), db.begin(hasty) as other:
            _lock(other, "one")
    hasty.dispose()


def test_what_the_schema_refuses_keeps_its_own_name(begin: db.Begin) -> None:
    """A broken constraint is a defect or a repeat that the caller knows how to judge, never an outage."""
    with begin() as session:
        session.execute(ROWS)
    with pytest.raises(IntegrityError), begin() as session:
        session.execute(ROWS)


def test_a_statement_that_takes_too_long_ends(database_url: str) -> None:
    """One bad plan must not hold a worker until its hard limit."""
    engine = db.connect(database_url, "tests", statement_timeout="100ms")
    with pytest.raises(DatabaseUnavailableError), db.begin(engine) as session:
        session.execute(text("SELECT pg_sleep(5)"))
    engine.dispose()


def test_an_idle_transaction_is_ended_by_the_server(begin: db.Begin, database_url: str) -> None:
    """The locks of a frozen worker come free without anybody's help, and the worker learns that nothing was done."""
    frozen = db.connect(database_url, "tests", idle_in_transaction_session_timeout="100ms")
    with begin() as session:
        session.execute(ROWS)
    with pytest.raises(DatabaseUnavailableError), db.begin(frozen) as stuck:  # noqa: PT012
        stuck.execute(text("DELETE FROM beat_slot WHERE entry = 'one'"))
        with begin() as other:
            _lock(other, "one")
        stuck.execute(text("DELETE FROM beat_slot WHERE entry = 'two'"))
    with db.begin(frozen) as session:
        assert session.execute(COUNT).scalar_one() == 2
    frozen.dispose()


def test_a_commit_after_the_server_ended_the_transaction_is_no_commit(begin: db.Begin, database_url: str) -> None:
    """A worker that wakes after its last statement must not believe that it committed."""
    frozen = db.connect(database_url, "tests", idle_in_transaction_session_timeout="100ms")
    with pytest.raises(DatabaseUnavailableError), db.begin(frozen) as stuck:  # noqa: PT012
        stuck.execute(ROWS)
        time.sleep(0.3)
    with begin() as session:
        assert session.execute(COUNT).scalar_one() == 0
    frozen.dispose()


def test_a_connection_that_was_cut_is_replaced(engine: Engine, begin: db.Begin, database_url: str) -> None:
    """After a restart of the server the next use case works, without a restart of the worker."""
    other = db.connect(database_url, "tests")
    with begin() as session:
        mine = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with db.begin(other) as session:
        session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
    with begin() as session:
        assert session.execute(text("SELECT pg_backend_pid()")).scalar_one() != mine
    other.dispose()


def test_a_connection_cut_in_the_middle_is_an_outage(begin: db.Begin) -> None:
    """Work that lost its server in the middle is put off, not buried."""
    with pytest.raises(DatabaseUnavailableError), begin() as session:  # noqa: PT012
        with begin() as other:
            mine = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
        session.execute(COUNT)


def test_an_exhausted_pool_is_an_outage_within_its_bound(database_url: str) -> None:
    """A crowd gets an error it can answer, not a queue without end."""
    engine = db.connect(database_url, "tests", pool_size=1)
    engine.pool._timeout = 0.1  # type: ignore[attr-defined]  # five seconds otherwise
    with db.begin(engine) as holder:
        holder.execute(COUNT)
        with pytest.raises(DatabaseUnavailableError), db.begin(engine) as session:
            session.execute(COUNT)
    engine.dispose()


@pytest.mark.parametrize("application", ["worker", "door"])
def test_a_closed_port_is_an_outage_at_once(application: str) -> None:
    """A server that is down must cost a request milliseconds."""
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        _use(CLOSED_PORT, application)
    assert time.monotonic() - started < CONNECT_BOUND_SECONDS


def test_a_frozen_server_is_an_outage_within_the_bound(frozen: RunningPostgres) -> None:
    """A server that takes connections and says nothing is away as well, and nobody hangs on it."""

    def seconds_until_outage(application: str) -> float:
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailableError):
            _use(frozen.url(), application)
        return time.monotonic() - started

    with ThreadPoolExecutor() as pool:
        waits = list(pool.map(seconds_until_outage, ["worker", "door"]))
    assert max(waits) < CONNECT_BOUND_SECONDS


WORKER = {"lock_timeout": "2s", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "3s"}
DOOR = {"lock_timeout": "500ms", "statement_timeout": "2s", "idle_in_transaction_session_timeout": "3s"}


@pytest.mark.parametrize(("application", "bounds"), [("worker", WORKER), ("door", DOOR)])
def test_every_session_is_bounded_by_the_server(database_url: str, application: str, bounds: dict[str, str]) -> None:
    """Bounds that only the client knows are gone when the client freezes."""
    assert {name: _use(database_url, application, f"SHOW {name}") for name in bounds} == bounds
    assert _use(database_url, application, "SHOW application_name") == f"billing {application}"


def test_a_dead_peer_is_noticed_by_keepalives(engine: Engine) -> None:
    """A cable that was pulled gives no error by itself: without keepalives a worker would wait for hours."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        known = driver.info.get_parameters()
    assert int(known["keepalives_idle"]) + int(known["keepalives_interval"]) * int(known["keepalives_count"]) <= 10


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_an_address_means_our_driver(scheme: str) -> None:
    """Platforms hand out `postgres://`, which SQLAlchemy alone would refuse."""
    assert db.driver_url(f"{scheme}://u:p@h/d") == "postgresql+psycopg://u:p@h/d"


def _use(url: str, application: str, statement: str = "SELECT 1") -> object:
    """The answer to one statement, by an engine of its own."""
    if application == "door":
        return asyncio.run(_use_async(url, application, statement))
    engine = db.connect(url, application)
    try:
        with db.begin(engine) as session:
            return session.execute(text(statement)).scalar_one()
    finally:
        engine.dispose()


async def _use_async(url: str, application: str, statement: str) -> object:
    engine = db.connect_async(url, application)
    try:
        async with db.begin_async(engine) as connection:
            answer: object = (await connection.execute(text(statement))).scalar_one()
            return answer
    finally:
        await engine.dispose()
