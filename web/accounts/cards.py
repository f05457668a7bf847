"""Saved cards: which there are, another one, the one that pays, and one less."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.account_acts import AccountActView
from billing.reads.cards import cards_of, is_own_card
from billing.reads.whose import Whose, of_caller
from billing.states import AccountAction
from web.accounts.acts import AccountActs, Wish
from web.accounts.bodies import CARD_ID, CardBody
from web.accounts.shapes import act_content, cards_content
from web.answers import Json
from web.auth import Identity
from web.bodies import read_json_if_any
from web.door import Door
from web.errors import HttpError
from web.idempotency import idempotency_key


class CardRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = AccountActs(door)

    async def all_of_them(self, request: Request) -> Response:
        return await (self.add(request) if request.method == "POST" else self.listed(request))

    async def listed(self, request: Request) -> Response:
        return Json(await self._cards(await self._door.student(request)))

    async def add(self, request: Request) -> Response:
        """The one that is named, or else one that a browser is going to make."""
        who = await self._door.callers.required(request)
        idempotency_key(request)
        body = CardBody.of(await read_json_if_any(request))
        if body.payment_method_id is None:
            return await self._acts.ask(request, who, Wish(AccountAction.ADD_CARD), self._setup, 201)
        wish = Wish(AccountAction.ATTACH_CARD, {"payment_method_id": body.payment_method_id})
        return await self._acts.ask(request, who, wish, lambda _: self._cards(who), 201)

    async def set_default(self, request: Request) -> Response:
        """There is nothing to say about it: a body is not looked at."""
        who = await self._door.callers.required(request)
        idempotency_key(request)
        wish = Wish(AccountAction.DEFAULT_CARD, {"payment_method_id": await self._own(request, who)})
        return await self._acts.ask(request, who, wish, lambda _: self._cards(who))

    async def remove(self, request: Request) -> Response:
        who = await self._door.callers.required(request)
        idempotency_key(request)
        wish = Wish(AccountAction.REMOVE_CARD, {"payment_method_id": await self._own(request, who)})
        return await self._acts.ask(request, who, wish, lambda _: self._cards(who))

    async def _own(self, request: Request, who: Identity) -> str:
        """Raises HttpError 404 for a card that is not the caller's, and never was."""
        card_id: str = request.path_params["card_id"]
        if CARD_ID.fullmatch(card_id) and await self._is_own(card_id, who):
            return card_id
        raise HttpError(404, "card_not_found", "There is no such card.")

    async def _is_own(self, card_id: str, who: Identity) -> bool:
        return await self._door.ask(lambda connection: is_own_card(connection, _whose(who), card_id))

    async def _cards(self, who: Identity) -> Mapping[str, Any]:
        found = await self._door.ask(lambda connection: cards_of(connection, _whose(who)))
        return cards_content(found, now=utc_now())

    async def _setup(self, act: AccountActView) -> Mapping[str, Any]:
        """All that a browser needs to save a card."""
        return {
            **act_content(act, self._door.vault),
            "setup_intent_id": (act.result or {}).get("setup_intent_id"),
            "publishable_key": self._door.settings.stripe_publishable_key,
        }


def _whose(who: Identity) -> Whose:
    return of_caller(who.sub, who.verified_email)
