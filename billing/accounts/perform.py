"""Do what the owner of an account asked for: checked under lock, asked of Stripe, recorded under the claim's token."""

from collections.abc import Sequence

from billing.messages import FollowUp, PerformAccountAct
from billing.purchases.desk import Desk


def perform_account_act(desk: Desk, message: PerformAccountAct) -> Sequence[FollowUp]:
    """For an act that is decided already it does nothing."""
    raise NotImplementedError
