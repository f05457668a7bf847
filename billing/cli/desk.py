"""What a use case needs that asks Stripe, in the process of a command."""

from contextlib import nullcontext
from uuid import UUID

from billing import work
from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.deployment import Deployment
from billing.purchases.desk import Desk
from billing.secrets import Vault
from billing.stripe_gateway import StripeGateway


class Unclaimed:
    """A command holds no claim of a row."""

    terms = work.LeaseTerms()

    def held(self, _token: UUID) -> "nullcontext[None]":
        return nullcontext()


def desk_of(settings: Settings, begin: Begin) -> Desk:
    deployment, vault = Deployment.of(settings, begin), Vault(settings.secret_key)
    return Desk(begin, StripeGateway(settings), Unclaimed(), vault, deployment, utc_now())
