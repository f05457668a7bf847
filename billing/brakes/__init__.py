"""The brakes on calls to Stripe: how many a second, whose first, and none at all while Stripe is in trouble.

All processes count together in Valkey, in one atomic step a call; while Valkey is away each goes by a share of its own.
"""

from billing.brakes.gate import Brakes, Passage
from billing.brakes.lanes import Lane, enter_lane_of
from billing.brakes.shared import SharedBrakes
from billing.brakes.terms import Limits
from billing.brakes.words import BrakesAwayError, BrakesView

__all__ = ["Brakes", "BrakesAwayError", "BrakesView", "Lane", "Limits", "Passage", "SharedBrakes", "enter_lane_of"]
