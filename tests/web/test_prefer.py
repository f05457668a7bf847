"""`Prefer: wait=N` as RFC 7240 writes it, and everything that is nearly it."""

import pytest
from starlette.requests import Request

from web.prefer import wait_seconds


def asked(*values: str) -> Request:
    return Request({"type": "http", "headers": [(b"prefer", value.encode("latin-1")) for value in values]})


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (["wait=5"], 5),
        (["WAIT=5"], 5),
        (["wait = 5"], 5),
        (['wait="5"'], 5),
        (["wait=005"], 5),
        (["wait=0"], 0),
        (["wait=30"], 30),
        (["wait=31"], 30),
        (["wait=" + "9" * 5000], 30),
        (["respond-async, wait=5"], 5),
        (["respond-async", "wait=5"], 5),
        (["wait=5; strictly=yes"], 5),
        (["return=minimal; x=wait, wait=5"], 5),
        (["wait=5, wait=7"], 5),
        (["wait=x, wait=7"], None),
        ([], None),
        ([""], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=-5"], None),
        (["wait=+5"], None),
        (["wait=5.5"], None),
        (["wait=5s"], None),
        (["wait=five"], None),
        (["wait=\xb2"], None),
        (["wait=5 6"], None),
        (['wait="5'], None),
        (["await=5"], None),
        ([', ;=,;;=="'], None),
    ],
)
def test_what_is_understood_is_waited_for_and_the_rest_is_ignored(given: list[str], seconds: int | None) -> None:
    assert wait_seconds(asked(*given)) == seconds
