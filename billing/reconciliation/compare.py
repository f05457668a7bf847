"""Stripe's payments and refunds beside ours: each difference is a finding.

Two days are compared each night, so that one night may be missed; a finding that is not found any more stays open
until somebody closes it, and says when it was seen last.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from billing.errors import RefusedError
from billing.gateway import CLOCKS_DIFFER, Intent, InvalidRequestError, RefundThere
from billing.ids import marked_subject
from billing.messages import FollowUp
from billing.purchases.desk import Desk
from billing.reconciliation import findings, payments, returned, unknown
from billing.reconciliation.findings import Difference
from billing.reconciliation.payments import FRESH
from billing.reconciliation.runs import Report, noted
from billing.reconciling import Listed
from billing.states import ReconciliationScope

T = TypeVar("T", Intent, RefundThere)

log = structlog.get_logger(__name__)

NIGHTLY = timedelta(days=2)
LONGEST = timedelta(days=30)
OURS_AT_ONCE = 500
NOT_THERE = "resource_missing"


class TooLongError(RefusedError):
    """So much is not compared at once."""


def compare_ledgers(desk: Desk) -> Sequence[FollowUp]:
    """What beat asks for each night."""
    _, follow_ups = compare(desk, desk.now - NIGHTLY)
    return follow_ups


def compare(desk: Desk, since: datetime, *, is_dry: bool = False) -> tuple[Report, Sequence[FollowUp]]:
    """All since then. Raises TooLongError, or the GatewayError that ended it; what was found until then is kept."""
    if desk.now - since > LONGEST:
        raise TooLongError(f"at most {LONGEST.days} days are compared at once")
    comparison = _Comparison(desk, Report(since, max(since, desk.now)))
    if is_dry:
        comparison.compare()
        return comparison.report, ()
    with noted(desk.begin, ReconciliationScope.LEDGER, comparison.report, now=desk.now):
        comparison.compare()
    return comparison.report, comparison.follow_ups


class _Comparison:
    """A page at a time: of what is compared only the ids are remembered."""

    def __init__(self, desk: Desk, report: Report) -> None:
        self.report = report
        self.follow_ups: list[FollowUp] = []
        self._desk = desk
        self._intents: set[str] = set()
        self._refunds: set[str] = set()

    def compare(self) -> None:
        gateway = self._desk.gateway
        for intents in self._pages(gateway.list_intents):
            self._compare_payments(intents)
        self._look_for_our_payments()
        for refunds in self._pages(gateway.list_refunds_made):
            self._compare_refunds(refunds)
        self._look_for_our_refunds()

    def _pages(self, page_of: "Callable[..., Listed[T]]") -> Iterator[Sequence[T]]:
        after = None
        while True:
            page = page_of(self.report.since, self._desk.now + CLOCKS_DIFFER, after=after)
            self.report.seen += len(page.rows)
            yield page.rows
            if not page.has_more or not page.rows:
                return
            after = page.rows[-1].id

    def _compare_payments(self, intents: Sequence[Intent]) -> None:
        self._intents.update(intent.id for intent in intents)
        with self._desk.begin() as session:
            known = payments.of_intents(session, [intent.id for intent in intents])
        for intent in intents:
            ours = known.get(intent.id)
            if ours is not None:
                self._find(payments.compared(ours, intent, now=self._desk.now))
            elif intent.status == "succeeded" and self._is_ours(intent):
                self._settle(intent)

    def _is_ours(self, intent: Intent) -> bool:
        return marked_subject(self._desk.deployment.installation, intent.mark) is not None

    def _settle(self, intent: Intent) -> None:
        settled = unknown.settle(self._desk, intent, is_dry=self.report.is_dry)
        self.report.adopted += settled.is_adopted
        self.follow_ups += settled.follow_ups
        self._find(settled.difference)

    def _look_for_our_payments(self) -> None:
        """Paid here in this time: what was not listed is older, or is not there."""
        until, after = self._desk.now - FRESH, 0
        while True:
            with self._desk.begin() as session:
                ours = payments.paid_between(session, self.report.since, until, after=after, most=OURS_AT_ONCE)
            for one in ours:
                if one.payment_intent_id not in self._intents:
                    self._find(self._asked_about(one))
            if len(ours) < OURS_AT_ONCE:
                return
            after = ours[-1].transaction_id

    def _asked_about(self, ours: payments.Ours) -> Difference | None:
        try:
            intent = self._desk.gateway.retrieve_intent(ours.payment_intent_id)
        except InvalidRequestError as error:
            if error.code == NOT_THERE:
                return payments.not_there(ours)
            raise
        return payments.compared(ours, intent, now=self._desk.now)

    def _compare_refunds(self, refunds: Sequence[RefundThere]) -> None:
        self._refunds.update(there.id for there in refunds)
        with self._desk.begin() as session:
            ours = returned.known(session, refunds)
        for there in refunds:
            self._find(returned.compared(there, ours, now=self._desk.now))

    def _look_for_our_refunds(self) -> None:
        until, after = self._desk.now - FRESH, returned.FIRST
        while True:
            with self._desk.begin() as session:
                ours = returned.succeeded_between(session, self.report.since, until, after=after, most=OURS_AT_ONCE)
            for one in ours:
                if one.stripe_refund_id not in self._refunds:
                    self._find(self._asked_about_refund(one))
            if len(ours) < OURS_AT_ONCE:
                return
            after = ours[-1].id

    def _asked_about_refund(self, ours: returned.Ours) -> Difference | None:
        """One that was made before this time is listed with its payment."""
        try:
            made = self._desk.gateway.list_refunds(ours.payment_intent_id or "")
        except InvalidRequestError as error:
            if error.code != NOT_THERE:
                raise
            made = ()
        there = next((one for one in made if one.id == ours.stripe_refund_id), None)
        if there is None:
            return returned.not_there(ours)
        with self._desk.begin() as session:
            known = returned.known(session, [there])
        return returned.compared(there, known, now=self._desk.now)

    def _find(self, difference: Difference | None) -> None:
        """Kept at once: a comparison that is killed has found what it has found."""
        if difference is not None and self.report.add(difference) and not self.report.is_dry:
            with self._desk.begin() as session:
                findings.keep(session, [difference], at=self._desk.now)
