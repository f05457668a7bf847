"""No body is too strange to get a clear answer, and none costs more memory than its limit."""

import socket
import time
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from billing.config import Settings
from tests.web.support import INITIATE, WEBHOOK, served, signed
from web import bodies
from web.app import create_app
from web.bodies import parse_object
from web.errors import HttpError

JSON = {"Content-Type": "application/json"}

MALFORMED = [
    b"",
    b" ",
    b"{",
    b"{}{}",
    b"nonsense",
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": 1e-99999999999999999999}',
    b'{"a": 123456789012345678901}',
    b'{"a": -123456789012345678901}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": 1, "a": 1}',
    b'{"a": {"b": 1, "b": 2}}',
    b'{"a": "\\ud800"}',
    b'{"a": "\xff"}',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"{'a': 1}",
    b'{"a": 01}',
    b'{"a": 1,}',
    b'{"a": "\n"}',
    b'{"a":' * 20 + b"{}" + b"}" * 20,
    b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"a":' + b"[" * 60_000,
    b"\x1f\x8b\x08\x00",
    b"a=1&b=2",
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_body_is_a_400(shared_client: TestClient, body: bytes) -> None:
    answer = shared_client.post(INITIATE, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")
    assert answer.json()["message"].startswith("The body cannot be read")


def test_a_fraction_is_read_as_it_is_written() -> None:
    assert parse_object(b'{"price": 140.10}') == {"price": Decimal("140.10")}


def test_twenty_levels_are_deep_enough_and_allowed() -> None:
    assert parse_object(b'{"a":' * 19 + b"{}" + b"}" * 19)
    with pytest.raises(HttpError, match="nested"):
        parse_object(b'{"a":' * 20 + b"{}" + b"}" * 20)


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON;x=y"])
def test_json_is_known_by_its_type_whatever_its_parameters(shared_client: TestClient, kind: str) -> None:
    assert shared_client.post(INITIATE, content=b"{}", headers={"Content-Type": kind}).status_code == 400


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", ";", "é"])
def test_another_type_is_a_415(shared_client: TestClient, kind: str) -> None:
    headers = [(b"Content-Type", kind.encode())]
    assert shared_client.post(INITIATE, content=b"{}", headers=headers).status_code == 415


def test_64_kib_are_read_and_one_byte_more_is_not(shared_client: TestClient) -> None:
    for size, status in ((65_536, 400), (65_537, 413)):
        assert shared_client.post(INITIATE, content=b" " * size, headers=JSON).status_code == status


def test_an_event_may_have_a_mebibyte_and_not_a_byte_more(shared_client: TestClient) -> None:
    for size, error_type in ((1024 * 1024, "invalid_signature"), (1024 * 1024 + 1, "payload_too_large")):
        assert shared_client.post(WEBHOOK, content=b" " * size).json()["error_type"] == error_type


def exchange(port: int, *parts: bytes, pause_seconds: float = 0.0) -> bytes:
    """Send the parts over a socket of one's own, and read until the door closes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_seconds)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


def head_of(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: door", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def test_slow_and_endless_bodies_are_cut_off(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each open request costs memory: none may stay for longer than its bound, or grow beyond it."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    with served(create_app(settings)) as port:
        for path, endless in ((INITIATE, 9), (WEBHOOK, 129)):
            declared = exchange(port, head_of(path, "Content-Length: 2000000"))
            assert declared.startswith(b"HTTP/1.1 413 "), path
            grown = exchange(port, head_of(path, "Transfer-Encoding: chunked"), chunk * endless)
            assert grown.startswith(b"HTTP/1.1 413 "), path
            slow = exchange(port, head_of(path, "Content-Length: 10"), b"{")
            assert slow.startswith(b"HTTP/1.1 408 "), path
            assert b'"error_type":"request_timeout"' in slow


def test_a_caller_who_hangs_up_disturbs_nobody(settings: Settings) -> None:
    with served(create_app(settings)) as port:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(head_of(INITIATE, "Content-Length: 10") + b"{")
        live = exchange(port, b"GET /healthz HTTP/1.1\r\nHost: door\r\nConnection: close\r\n\r\n")
    assert live.startswith(b"HTTP/1.1 200 ")


def test_a_body_in_pieces_is_one_body(settings: Settings) -> None:
    event = b'{"id": "evt_1", "object": "event", "type": "x"}'
    header = signed(event)["Stripe-Signature"]
    lines = (f"Stripe-Signature: {header}", f"Content-Length: {len(event)}", "Connection: close")
    with served(create_app(settings)) as port:
        answer = exchange(port, head_of(WEBHOOK, *lines), event[:7], event[7:20], event[20:], pause_seconds=0.02)
    assert answer.startswith(b"HTTP/1.1 200 ")
