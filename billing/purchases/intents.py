"""The payment intent of a package: to be paid in a browser, or by a saved card at once."""

from dataclasses import dataclass

from billing.gateway import (
    CLOCKS_DIFFER,
    DeclinedError,
    Intent,
    InvalidRequestError,
    NotAskedError,
    OutcomeUnknownError,
)
from billing.ids import stripe_key
from billing.purchases import calls
from billing.purchases.answers import Record
from billing.purchases.cancel import CANCEL_INTENT
from billing.purchases.pursuits import Pursuit


@dataclass(frozen=True, slots=True)
class IntentPursuit(Pursuit[Intent]):
    def create(self) -> Record:
        """A saved card that is declined leaves an intent behind, which its owner can still pay."""
        try:
            return self.answers.kept(self.desk.gateway.create_intent(calls.stored(self.call)))
        except DeclinedError as error:
            if error.intent_id is None:
                raise
            return self.answers.kept(self._left_behind(error.intent_id))

    def _left_behind(self, intent_id: str) -> Intent:
        """Raises OutcomeUnknownError where it cannot be asked for now: that the create was sent has to stay counted."""
        try:
            return self.desk.gateway.retrieve_intent(intent_id)
        except NotAskedError as error:
            raise OutcomeUnknownError from error

    def look(self) -> Intent | None:
        then, now = self.call.prepared_at, self.desk.now  # in that order, unless a clock was set back meanwhile
        since, until = min(then, now) - CLOCKS_DIFFER, max(then, now) + CLOCKS_DIFFER
        return self.desk.gateway.find_intent(self.mark, since, until)

    def kept(self, found: Intent) -> Record:
        return self.answers.kept(found)

    def end(self, found: Intent) -> Record:
        if found.status == "canceled":  # by us: Stripe repeats what it answered to the key of a cancel, a 500 too
            return self.answers.ended(found.id)
        key = stripe_key(self.desk.deployment.installation, CANCEL_INTENT, self.claim.row.id, self.call.attempt)
        try:
            return self.answers.ended(self.desk.gateway.cancel_intent(found.id, key).id)
        except InvalidRequestError:
            present = self.desk.gateway.retrieve_intent(found.id)
        return self.answers.ended(present.id) if present.status == "canceled" else self.answers.kept(present)
