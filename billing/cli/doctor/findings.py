"""What the doctor says of one thing."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It runs, and somebody should look."""
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` says what to do about it; what is well needs none."""

    subject: str
    health: Health
    detail: str
    mend: str = ""


Findings = Iterator[Finding]


def well(subject: str, detail: str) -> Finding:
    return Finding(subject, Health.OK, detail)


def doubtful(subject: str, detail: str, mend: str) -> Finding:
    return Finding(subject, Health.WARNING, detail, mend)


def red(subject: str, detail: str, mend: str) -> Finding:
    return Finding(subject, Health.RED, detail, mend)


def judged(subject: str, detail: str, mend: str, *, is_well: bool) -> Finding:
    return well(subject, detail) if is_well else red(subject, detail, mend)
