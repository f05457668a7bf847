"""Purchases: accepted by one door process, in turn with a Starlette route that does nothing.

    python -m tests.bench.purchases [PURCHASES]

Each is another guest's, with a key of its own; the limits are set so high that they are counted and never reached.
"""

import json
import sys
import tempfile
from pathlib import Path

from tests.bench.load import post
from tests.bench.yardstick import compare, running_door
from tests.support.stack import PREFIX, Stack


def main(purchases: int) -> None:
    with tempfile.TemporaryDirectory() as folder, running_door(Path(folder)) as stack:
        compare("purchases accepted by one door", stack, Path(folder), lambda number: _wishes(number, purchases), 100)
        _prove(stack)


def _wishes(number: int, purchases: int) -> list[bytes]:
    return [_wish(f"{number}-{index}") for index in range(purchases)]


def _wish(name: str) -> bytes:
    body = {"plan_id": 2, "student_info": {"name": "Ana Silva", "email": f"guest-{name}@example.com"}}
    return post(f"{PREFIX}/purchase/initiate/", json.dumps(body).encode(), Idempotency_Key=f"order-{name}")


def _prove(stack: Stack) -> None:
    """What was counted is there."""
    accepted = stack.scalar("SELECT count(*) FROM purchase")
    assert accepted == stack.scalar("SELECT count(DISTINCT buyer_email) FROM purchase") > 0
    print(f"  {accepted:,} rows")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
