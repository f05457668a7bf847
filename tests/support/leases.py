"""Claims that nobody renews: what a worker holds when its process does not live on."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from billing.work import LeaseTerms


class UnrenewedLeases:
    def __init__(self, seconds: float = 8, lost_claims: int = 6) -> None:
        self.terms = LeaseTerms(seconds, lost_claims)
        self.holding: list[UUID] = []

    @contextmanager
    def held(self, token: UUID) -> Iterator[None]:
        self.holding.append(token)
        try:
            yield
        finally:
            self.holding.remove(token)
