"""Renews the claims of this process. A process that is killed or frozen renews nothing: others take its rows over."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from billing import work
from billing.db import Begin
from billing.errors import TransientError

log: structlog.stdlib.BoundLogger = structlog.get_logger("workers.leases")

RENEWED_EVERY_SECONDS = 2.0
LONGEST_SECONDS = 60.0
"""A claim held for longer is not renewed any more: whatever its worker waits for, somebody else shall try."""


class RenewingLeases:
    """One thread for all claims. It starts with the first one, so after a fork, and again where it died."""

    def __init__(self, begin: Begin, terms: work.LeaseTerms) -> None:
        self._begin = begin
        self._terms = terms
        self._held: dict[UUID, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def terms(self) -> work.LeaseTerms:
        return self._terms

    @contextmanager
    def held(self, token: UUID) -> Iterator[None]:
        with self._changed:
            if not self._held:
                self._changed.notify()
            self._held[token] = time.monotonic()
            self._start()
        try:
            yield
        finally:
            with self._changed:
                self._held.pop(token, None)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._held))
            time.sleep(RENEWED_EVERY_SECONDS)
            if tokens := self._tokens():
                self._renew(tokens)

    def _tokens(self) -> list[UUID]:
        oldest = time.monotonic() - LONGEST_SECONDS
        with self._changed:
            return [token for token, since in self._held.items() if since > oldest]

    def _renew(self, tokens: list[UUID]) -> None:
        try:
            work.renew(self._begin, tokens, self._terms.seconds)
        except TransientError as error:  # tried again in two seconds; a lost claim is noticed where it is resumed
            log.warning("claims_not_renewed", claims=len(tokens), error=type(error).__name__)
