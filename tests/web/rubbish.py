"""Requests that no client should send: broken by hand in every known way, and mutated at random."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.web.support import API, INITIATE, WEBHOOK, wish

BODY = json.dumps(wish()).encode()
PATHS = [
    INITIATE,
    WEBHOOK,
    f"{API}pricing-plans/",
    f"{API}stripe/config/",
    f"{API}student-balance/?email=ana@example.com",
    f"{API}purchase/af6e7bed-2620-4828-a9f2-ae126b087e74/?access_token=x",
    "/healthz",
    "/readyz",
]
BYTES = [
    b"\x00",
    b"\xff",
    b"\xc3\x28",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b"%",
    b"%00",
    b"%ff",
    b"\x7f",
    b"\x1b",
]


def request(
    method: bytes = b"POST",
    path: bytes = INITIATE.encode(),
    *fields: bytes,
    body: bytes = BODY,
    version: bytes = b"HTTP/1.1",
    length: bytes | None = None,
) -> bytes:
    sized = b"Content-Length: %b" % (str(len(body)).encode() if length is None else length)
    head = [
        b"%b %b %b" % (method, path, version),
        b"Host: localhost",
        b"Content-Type: application/json",
        sized,
        *fields,
    ]
    return b"\r\n".join((*head, b"", body))


def chunked(*pieces: bytes, fields: bytes = b"") -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % INITIATE.encode()
    return head + fields + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces)


def in_chunks(body: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n0\r\n%b\r\n" % (len(body), extension, body, trailer)


BY_HAND: list[bytes] = [
    *(request(method) for method in (b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"M-SEARCH")),
    *(request(method) for method in (b"BREW", b"", b"get", b"P\x00ST", b"POST POST", b"\xff\xff", b"A" * 9000)),
    *(request(b"GET", path, body=b"") for path in (b"", b"*", b"//", b"nowhere", b"/\x00", b"/%00", b"/%", b"/\xff")),
    *(request(b"GET", path, body=b"") for path in (b"/%ff%fe", b"/a b", b"http://", b"http://a:b/", b"/" * 60_000)),
    *(request(b"GET", path, body=b"") for path in (b"/?" + b"a=%00&" * 3000, b"/../../etc/passwd", b"/?\xff", b"?")),
    *(
        request(version=version)
        for version in (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/", b"RTSP/1.0")
    ),
    *(
        request(length=length)
        for length in (b"-1", b"+5", b"0x10", b"1e3", b"", b" ", b"9" * 30, b"5, 5", b"\xff", b"1")
    ),
    *(
        request(b"POST", INITIATE.encode(), b"Content-Length: 3"),
        request(b"CONNECT", b"a:80"),
        request(b"OPTIONS", b"*"),
    ),
    *(
        request(b"POST", INITIATE.encode(), b"Transfer-Encoding: " + code)
        for code in (b"chunked", b"gzip", b"identity")
    ),
    *(request(b"POST", INITIATE.encode(), b"Host: other"), request(b"POST", INITIATE.encode(), b"Host: \xff\x00")),
    *(
        request(b"POST", INITIATE.encode(), b"X-Request-Id: " + piece)
        for piece in (b"\xff", b"a\x00b", b"x" * 5000, b"")
    ),
    *(request(b"POST", INITIATE.encode(), b"Idempotency-Key: " + piece) for piece in (b"\xff", b'"', b"x" * 300, b"")),
    *(
        request(b"POST", INITIATE.encode(), b"Authorization: " + piece)
        for piece in (b"\xff", b"Bearer \xff.\xff.", b"Bearer")
    ),
    *(request(b"POST", INITIATE.encode(), b"Prefer: wait=" + piece) for piece in (b"\xff", b"-1", b"9" * 400, b"0.1")),
    *(
        request(b"POST", INITIATE.encode(), b"Origin: " + piece)
        for piece in (b"\xff", b"null", b"https://a.example\xff")
    ),
    *(
        request(b"POST", INITIATE.encode(), b"X-Forwarded-For: " + piece)
        for piece in (b"\xff", b"," * 9000, b"1.2.3.4:5")
    ),
    *(
        request(b"GET", PATHS[5].encode(), b"X-Access-Token: " + piece, body=b"")
        for piece in (b"\xff\xfe", b"x" * 9000)
    ),
    *(
        request(b"GET", PATHS[2].encode(), b"If-None-Match: " + piece, body=b"")
        for piece in (b"\xff", b"*", b"W/" * 2000)
    ),
    *(
        request(b"POST", WEBHOOK.encode(), b"Stripe-Signature: " + piece)
        for piece in (b"\xff", b"t=1,v1=\xff", b"," * 900)
    ),
    *(
        request(b"POST", INITIATE.encode(), field)
        for field in (b"X", b": x", b"X y: z", b" folded", b"X\x00: y", b"\xff: y")
    ),
    request(b"POST", INITIATE.encode(), b"X: " + b"y" * 40_000),
    request(b"POST", INITIATE.encode(), *(b"X-%d: y" % number for number in range(5000))),
    request(b"POST", INITIATE.encode(), b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x"),
    request(b"POST", INITIATE.encode(), b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x"),
    request(b"POST", INITIATE.encode(), b"Expect: 100-continue"),
    request(b"POST", INITIATE.encode(), b"Expect: the worst"),
    *(chunked(in_chunks(BODY)), chunked(in_chunks(BODY, b";a=b")), chunked(in_chunks(BODY, b";" + b"x" * 90_000))),
    *(
        chunked(size, b"\r\n", BODY, b"\r\n0\r\n\r\n")
        for size in (b"-1", b"zz", b"", b"f" * 40, b"0x5", b"1 ", b"ffffffffff")
    ),
    *(chunked(b"5\r\n{}", b"\r\n"), chunked(b"2\r\n{}0\r\n\r\n"), chunked(b"2\n{}\n0\n\n"), chunked(b"\r\n\r\n")),
    *(chunked(in_chunks(BODY, trailer=b"Authorization: Bearer x\r\n")), chunked(in_chunks(BODY, trailer=b"\xff\r\n"))),
    chunked(in_chunks(BODY), fields=b"Content-Length: 5\r\n"),
    chunked(b"1\r\nx\r\n" * 70_000),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2000,
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\x00\x00\x00",
    request() + b"rubbish\r\n\r\n",
    b"\r\n" * 30_000,
    b"\n",
    b"GET\r\n\r\n",
    b"GET /healthz\r\n\r\n",
    b"\x00" * 1000,
]


def raw_requests(seed: int, count: int) -> Iterator[bytes]:
    """Those made by hand first, then mutations of good ones."""
    chance = random.Random(seed)
    yield from BY_HAND[:count]
    for _ in range(count - len(BY_HAND)):
        yield _mutated_bytes(chance, _good(chance), chance.choice((1, 1, 2, 5, 40)))


def _good(chance: random.Random) -> bytes:
    path = chance.choice(PATHS)
    post = path in (INITIATE, WEBHOOK)
    if post and chance.random() < 0.2:
        return chunked(in_chunks(BODY[:20]), in_chunks(BODY[20:]))
    fields = [b"Idempotency-Key: k%d" % chance.randrange(50), b"Stripe-Signature: t=1,v1=00", b"Accept: */*"]
    one = request(b"POST" if post else b"GET", path.encode(), *fields, body=BODY if post else b"")
    return one * chance.choice((1, 1, 1, 2, 3))


def _mutated_bytes(chance: random.Random, data: bytes, times: int) -> bytes:
    changed = bytearray(data)
    for _ in range(times):
        at = chance.randrange(len(changed) + 1)
        piece = chance.choice([*BYTES, bytes([chance.randrange(256)]), chance.randbytes(8), b"9" * 20])
        until = at + chance.choice((0, 0, 1, 1, 2, 10, 100))
        changed[at:until] = chance.choice((piece, piece, b"", changed[at:until] * 2))
    return bytes(changed)


WEIRD: list[Any] = [
    None,
    True,
    0,
    -1,
    2,
    2**31,
    10**25,
    1.5,
    -0.0,
    1e308,
    "",
    " ",
    "2",
    "140.00",
    "\x00",
    "a\u0000b",
    "é" * 300,
    "\u202e",
    "😀",
    "ana@example.com",
    "@",
    "a@b",
    "x" * 70_000,
    [],
    {},
    [[[]]],
    {"name": {}},
    {"": ""},
]


def bodies(seed: int, count: int) -> Iterator[bytes]:
    """Mutations of a valid purchase: of what it says, and of how it is written."""
    chance = random.Random(seed)
    for _ in range(count):
        body = wish(expected_price_eur="140.00")
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            chance.choice(CHANGES)(chance, body)
        written = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")
        yield _mutated_bytes(chance, written, chance.choice((1, 2, 10))) if chance.random() < 0.4 else written


def _replace(chance: random.Random, body: dict[str, Any]) -> None:
    place = chance.choice(list(_places(body)))
    place[chance.choice(list(place))] = chance.choice(WEIRD)


def _remove(chance: random.Random, body: dict[str, Any]) -> None:
    place = chance.choice(list(_places(body)))
    place.pop(chance.choice(list(place)))
    body.setdefault("plan_id", 2)


def _add(chance: random.Random, body: dict[str, Any]) -> None:
    place = chance.choice(list(_places(body)))
    place[str(chance.choice(WEIRD))[:20]] = chance.choice(WEIRD)


def _nest(chance: random.Random, body: dict[str, Any]) -> None:
    deep: Any = chance.choice(WEIRD)
    for _ in range(chance.choice((5, 19, 21, 500))):
        deep = [deep] if chance.random() < 0.5 else {"a": deep}
    body["more"] = deep


CHANGES: list[Callable[[random.Random, dict[str, Any]], None]] = [_replace, _replace, _replace, _remove, _add, _nest]


def _places(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield body
    if isinstance(student := body.get("student_info"), dict) and student:
        yield student
