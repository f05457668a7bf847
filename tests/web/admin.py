"""Staff before the admin's pages: who signs in, looks, and fills in forms."""

import html
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from httpx2 import Response
from starlette.testclient import TestClient

from tests.web.support import Tokens

ADMIN = "/admin/"
CSRF = re.compile(r'name="csrftoken" value="([^"]+)"')
HIDDEN = re.compile(r'<input type="hidden" name="(key|facts)" value="([^"]*)">')
REASON = "Two lessons fell out."


class Desk:
    """A browser of somebody on staff."""

    def __init__(self, client: TestClient, tokens: Tokens) -> None:
        self.client = client
        self.client.cookies.clear()
        self.tokens = tokens

    def sign_in(self, *roles: str, sub: str = "boss", **claims: Any) -> Response:
        token = self.tokens.of(sub, roles=list(roles), **claims)["Authorization"].removeprefix("Bearer ")
        return self.post("login", {"token": token})

    def get(self, path: str, **parameters: str) -> Response:
        return self.client.get(f"{ADMIN}{path}", params=parameters or None, follow_redirects=False)

    def post(self, path: str, fields: Mapping[str, str], *, page: str | None = None) -> Response:
        """With the mark against forged forms that the page in which it stands has."""
        shown = self.get(page or path).text
        found = CSRF.search(shown)
        assert found, shown[:2000]
        return self.client.post(f"{ADMIN}{path}", data={"csrftoken": found[1], **fields}, follow_redirects=False)

    def form(self, path: str) -> dict[str, str]:
        """What the form of a page carries unseen."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text[:2000]
        carried = {name: html.unescape(value) for name, value in HIDDEN.findall(answer.text)}
        assert carried.keys() == {"key", "facts"}
        return carried

    def ask(self, path: str, fields: Mapping[str, str]) -> Response:
        """An act, asked for as the page would have it."""
        return self.post(path, {**self.form(path), **fields})


def act_of(answer: Response) -> UUID:
    """The act whose page a form led to."""
    assert answer.status_code == 303, answer.text[-3000:]
    path, _, act_id = answer.headers["location"].rpartition("/")
    assert path == "/admin/acts/done"
    return UUID(act_id)
