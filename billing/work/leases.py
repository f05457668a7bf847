"""What a worker needs to hold a claim."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a claim lasts without renewal, and how many may be lost before the row is given up."""

    seconds: float = 8
    lost_claims: int = 6


class Leases(Protocol):
    """Renews claims for as long as this process lives and the block runs, within a bound."""

    @property
    def terms(self) -> LeaseTerms: ...

    def held(self, token: UUID) -> AbstractContextManager[None]: ...
