"""Asking an HTTP service on this machine whether it is ready."""

from http.client import HTTPConnection, HTTPException

ANSWER_WITHIN_SECONDS = 2.0


def answers_ok(host: str, port: int, path: str) -> bool:
    connection = HTTPConnection(host, port, timeout=ANSWER_WITHIN_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
