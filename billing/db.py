"""Engines and transactions: the only place that commits, and the one that turns a driver's errors into ours."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Final, TypeVar

import psycopg
from psycopg.types.array import ListBinaryDumper
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from billing.errors import BillingError, ConflictError, DatabaseUnavailableError, LockTimeoutError

T = TypeVar("T")

Begin = Callable[[], AbstractContextManager[Session]]
"""Opens a transaction: commits at the end of the block, rolls back when an error leaves it."""

SESSION: Final = {"lock_timeout": "2s", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "3s"}
"""Bounds of every session: the server ends the transaction of a worker that froze (PostgreSQL, "Client Connection
Defaults")."""

GONE: Final = (psycopg.errors.IdleInTransactionSessionTimeout, psycopg.errors.ReadOnlySqlTransaction)
"""The server ended our transaction while we slept, or it is no longer the one that takes writes; the driver files
both under internal errors."""

DOOR: Final = {"lock_timeout": "500ms", "statement_timeout": "2s"}
"""Where the door's are shorter: it answers 503 rather than wait."""

CONNECTION: Final = {"connect_timeout": 2, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2}


def driver_url(url: str) -> str:
    scheme, rest = url.split("://", 1)
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url


def connect_arguments(application: str, **session: str) -> dict[str, object]:
    options = " ".join(f"-c {name}={value}" for name, value in {**SESSION, **session}.items())
    return {**CONNECTION, "application_name": f"billing {application}", "options": options}


def connect(url: str, application: str, *, pool_size: int = 4, **session: str) -> Engine:
    """An engine for workers and commands. Make it after the fork: a connection is of one process."""
    return create_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args=connect_arguments(application, **session),
    )


def connect_async(url: str, application: str, *, pool_size: int = 4, **session: str) -> AsyncEngine:
    """An engine for the door; a command's reads bring bounds of their own."""
    engine = create_async_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=2,
        connect_args=connect_arguments(application, **{**DOOR, **session}),
    )
    event.listen(engine.sync_engine, "connect", _send_arrays_in_binary)
    return engine


def _send_arrays_in_binary(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """The driver writes arrays as text, which costs a hundred times as much for the bodies of events."""
    connection.driver_connection.adapters.register_dumper(list, ListBinaryDumper)


@contextmanager
def begin(engine: Engine) -> Iterator[Session]:
    """One transaction.

    Raises DatabaseUnavailableError, LockTimeoutError or ConflictError in place of what the driver says of these.
    """
    with in_our_words(), Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@asynccontextmanager
async def begin_async(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction of the door, on a plain connection: no object of it outlives the statement."""
    with in_our_words():
        async with engine.begin() as connection:
            yield connection


def repeated(begin: Begin, work: Callable[[Session], T], *, tries: int = 4) -> T:
    """Run `work` in one transaction, and again where the database chose it as a deadlock's victim."""
    for _ in range(tries - 1):
        try:
            with begin() as session:
                return work(session)
        except ConflictError:
            continue
    with begin() as session:
        return work(session)


@contextmanager
def in_our_words() -> Iterator[None]:
    """Our errors in place of the driver's, where they say who can answer them."""
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError("no connection became free in time") from error
    except DBAPIError as error:
        if translated := _translate(error):
            raise translated from error
        raise


def _translate(error: DBAPIError) -> BillingError | None:
    original = error.orig
    if isinstance(original, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
        return ConflictError("the database asked for a repetition")
    if isinstance(original, psycopg.errors.LockNotAvailable):
        return LockTimeoutError("a row stayed locked by somebody else")
    if isinstance(error, OperationalError | InterfaceError) or isinstance(original, GONE):
        return DatabaseUnavailableError(f"the database is away or too slow ({type(original).__name__})")
    return None
