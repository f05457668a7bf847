"""Where owners of accounts knock."""

from collections.abc import Iterator

from starlette.routing import Route

from web.accounts.acts import AccountActs
from web.accounts.cards import CardRoutes
from web.accounts.subscriptions import SubscriptionRoutes
from web.accounts.topup import TopUpRoutes
from web.door import Door
from web.paths import PREFIXES
from web.purchases import PurchaseRoutes


def account_routes(door: Door, purchases: PurchaseRoutes) -> Iterator[Route]:
    cards, subscriptions, acts = CardRoutes(door), SubscriptionRoutes(door), AccountActs(door)
    topup = TopUpRoutes(door, purchases)
    for prefix in reversed(PREFIXES):
        card, subscription = f"{prefix}payment-methods/{{card_id}}/", f"{prefix}subscription/"
        yield Route(f"{prefix}quick-topup/", topup.top_up, methods=["POST"])
        yield Route(f"{prefix}payment-methods/", cards.all_of_them, methods=["GET", "POST"])
        yield Route(card, cards.remove, methods=["DELETE"])
        yield Route(f"{card}set-default/", cards.set_default, methods=["POST"])
        yield Route(subscription, subscriptions.shown)
        yield Route(f"{subscription}cancel/", subscriptions.cancel, methods=["POST"])
        yield Route(f"{subscription}resume/", subscriptions.resume, methods=["POST"])
        yield Route(f"{subscription}pause/", subscriptions.pause, methods=["POST"])
        yield Route(f"{subscription}change-plan/", subscriptions.change_plan, methods=["POST"])
        yield Route(f"{subscription}pay/", subscriptions.pay, methods=["POST"])
        yield Route(f"{prefix}account-acts/{{act_id:uuid}}/", acts.shown)
