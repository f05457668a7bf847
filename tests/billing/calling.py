"""A process that calls as fast as it is let: `python -m tests.billing.calling redis://…` prints what passed, and when.

Times are of the machine's one monotonic clock, which all processes share.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from threading import Thread

from billing.brakes import Lane, Limits, SharedBrakes
from billing.brakes.terms import Bucket
from billing.brakes.words import Asked, Kind

LIMITS = Limits(Bucket(8, 32), Bucket(4, 12))
ENDPOINTS = ("create", "retrieve", "list", "refund")
SECONDS = 2.5


@dataclass(frozen=True)
class Call:
    caller: str
    endpoint: str
    asked: float
    passed: float

    @classmethod
    def read(cls, line: str) -> "Call":
        return cls(**json.loads(line))


def call(brakes: SharedBrakes, number: int) -> None:
    end = time.monotonic() + SECONDS
    for endpoint in islice(cycle(ENDPOINTS), number, None):
        asked = time.monotonic()
        if asked >= end:
            return
        if brakes.ask(Asked(endpoint, Lane.PURCHASE, 1.0, is_first=True)).kind is Kind.GO:
            made = Call(f"{os.getpid()}:{number}", endpoint, asked, time.monotonic())
            sys.stdout.write(json.dumps(asdict(made)) + "\n")


if __name__ == "__main__":
    together = SharedBrakes(sys.argv[1], LIMITS)
    callers = [Thread(target=call, args=(together, number)) for number in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
