"""The owner of an account, who has cards and a subscription, and the worker who does what is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from billing.accounts.accept import AcceptedAct, AccountRequest, accept_act
from billing.accounts.perform import perform_account_act
from billing.cli.reading import ask_at
from billing.customers.ensure import ensure_customer
from billing.db import Begin
from billing.deployment import MARK, Deployment
from billing.gateway import PaymentGateway, StoredCall
from billing.ids import installation_mark, new_id, stripe_key
from billing.messages import AskStripe, FollowUp, PerformAccountAct
from billing.models import AccountAct, PaymentMethod, PricingPlanVersion, Subscription
from billing.purchases.accept import Caller
from billing.recurring import CardThere, InvoiceThere, SubscriptionThere
from billing.secrets import Vault
from billing.stale.ask import ask_stripe
from billing.stale.marks import mark
from billing.states import AccountAction, PlanType, PurchaseState, StaleKind
from billing.subscriptions.found import keep_begun
from billing.subscriptions.prices import ensure_price
from tests.support.factories import add_purchase, add_student
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases
from tests.support.office import Office

ANA = Caller("user-ana", "ana@example.com", email_verified=True)
EVE = Caller("user-eve", "eve@example.com", email_verified=True)
MONTHLY, STUDENT, STANDARD = 5, 6, 2
"""Plans: 199.00 for thirty hours a month, 119.00 for fifteen, and a package."""

A = AccountAction


class Dead(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


class Home(Office):
    """Ana's account, or that of another owner; `url` is for the door's statements."""

    def __init__(
        self,
        begin: Begin,
        deployment: Deployment,
        vault: Vault,
        now: datetime,
        url: str,
        owner: Caller = ANA,
        gateway: FakeGateway | None = None,
        line: PaymentGateway | None = None,
    ) -> None:
        """`line` leads to another payment service than the one in memory."""
        super().__init__(begin, deployment, vault, now)
        self.url, self.owner = url, owner
        self.gateway = gateway or self.gateway
        self.gateway.now, self.desk = now, replace(self.desk, gateway=line or self.gateway)
        self.student_id = add_student(begin, owner.email or "", at=now, external_id=owner.sub)
        self.customer_id = ensure_customer(self.desk, self.student_id)

    # --- what is there before ---

    def save_card(self, *, is_default: bool = False, **facts: Any) -> CardThere:
        """In a browser, by a setup intent; an event told of it, and Stripe was asked."""
        card = self.gateway.add_card(self.customer_id, is_default=is_default, **facts)
        self.hear_of(StaleKind.CUSTOMER, self.customer_id)
        return card

    def subscribe(self, plan_id: int = MONTHLY, *, is_paid: bool = True) -> SubscriptionThere:
        """Begun with the plan's price, and paid in a browser."""
        purchase_id = new_id()
        begun = self.desk.gateway.create_subscription(self._subscription_call(plan_id, purchase_id))
        with self.desk.begin() as session:
            subscription_id = keep_begun(session, self.student_id, begun.subscription)
        version = self.version(plan_id)
        facts: dict[str, Any] = {"payment_intent_id": begun.invoice.payment_intent_id}
        facts |= {"plan_version_id": version.id, "plan_type": PlanType.SUBSCRIPTION, "minutes": version.minutes}
        facts |= {"price_cents": version.price_cents, "validity_days": None, "subscription_id": subscription_id}
        pending = PurchaseState.PENDING
        add_purchase(self.desk.begin, at=self.desk.now, state=pending, id=purchase_id, **facts)
        with self.desk.begin() as session:
            whose = {"student": self.student_id, "id": purchase_id}
            session.execute(text("UPDATE purchase SET student_id = :student WHERE id = :id"), whose)
        if is_paid:
            self.settle(begun.invoice)
        self.hear_of(StaleKind.SUBSCRIPTION, begun.subscription.id)
        return self.desk.gateway.retrieve_subscription(begun.subscription.id)

    def settle(self, invoice: InvoiceThere) -> None:
        self.gateway.settle(invoice.id)

    def fall_behind(self, subscription_id: str) -> str:
        """The period ended and the bank said no: the id of the invoice that is due."""
        invoice = self.gateway.renew(subscription_id, paid=False)
        assert invoice is not None
        self.hear_of(StaleKind.SUBSCRIPTION, subscription_id)
        return invoice.id

    def hear_of(self, kind: StaleKind, object_id: str) -> None:
        with self.desk.begin() as session:
            mark(session, kind, object_id, purchase_id=None, request_id="request-of-a-test", at=self.desk.now)
        self.ask()

    def ask(self) -> None:
        """Every mark is asked about until none is left."""
        waiting = text("SELECT id FROM stale_mark WHERE due_at IS NOT NULL ORDER BY id")
        for _ in range(5):
            self._make_due("stale_mark")
            with self.desk.begin() as session:
                ids = session.execute(waiting).scalars().all()
            for mark_id in ids:
                ask_stripe(self.desk, AskStripe(mark_id=mark_id))

    def version(self, plan_id: int) -> PricingPlanVersion:
        with self.desk.begin() as session:
            versions = select(PricingPlanVersion).where(PricingPlanVersion.plan_id == plan_id)
            return session.exec(versions.order_by(col(PricingPlanVersion.version).desc())).first() or _missing()

    def _subscription_call(self, plan_id: int, purchase_id: UUID) -> StoredCall:
        installation = self.desk.deployment.installation
        parameters = {
            "customer": self.customer_id,
            "items": [{"price": ensure_price(self.desk, self.version(plan_id).id or 0)}],
            "payment_behavior": "default_incomplete",
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "expand": ["latest_invoice.confirmation_secret", "latest_invoice.payments"],
            "metadata": {MARK: installation_mark(installation, purchase_id)},
        }
        key = stripe_key(installation, "subscription.create", purchase_id, 1)
        return StoredCall(parameters, key, self.desk.gateway.api_version)

    # --- what is asked for ---

    def accept(
        self,
        action: AccountAction,
        parameters: Mapping[str, Any] | None = None,
        *,
        caller: Caller | None = None,
        key: str | None = None,
        body: bytes = b"body",
        **facts: Any,
    ) -> AcceptedAct:
        """As the door does it."""
        given: dict[str, Any] = {"id": new_id(), "request_id": "request-of-a-test", "requested_at": self.desk.now}
        asked = AccountRequest(
            action=action,
            parameters=parameters or {},
            caller=caller or self.owner,
            name="Ana",
            idempotency_key=key,
            body_hash=body if key else None,
            **{**given, **facts},
        )
        return ask_at(self.url, lambda connection: accept_act(connection, asked))

    def perform(self, act_id: UUID) -> Sequence[FollowUp]:
        """One hint for an act, which is due."""
        self._make_due("account_act")
        return perform_account_act(self.desk, PerformAccountAct(act_id=act_id))

    def do(self, action: AccountAction, parameters: Mapping[str, Any] | None = None, **facts: Any) -> AccountAct:
        """Accepted and worked."""
        act_id = self.accept(action, parameters, **facts).id
        self.perform(act_id)
        return self.act(act_id)

    def cancel(self, *, at_period_end: bool = True) -> AccountAct:
        return self.do(A.CANCEL, {"at_period_end": at_period_end})

    def of_card(self, action: AccountAction, card: CardThere, **facts: Any) -> AccountAct:
        return self.do(action, {"payment_method_id": card.id}, **facts)

    def let_workers_die(self) -> None:
        """Their claims end at once, so that the next worker need not wait, however many of them die."""
        self.leases = UnrenewedLeases(seconds=0.001, lost_claims=1000)
        self.desk = replace(self.desk, leases=self.leases)

    def pass_days(self, days: float) -> None:
        self.pass_time(days * 24 * 60)
        self.gateway.now = self.desk.now

    def _make_due(self, table: str) -> None:
        with self.desk.begin() as session:
            statement = f"UPDATE {table} SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"  # noqa: S608
            session.execute(text(statement))

    # --- what is there afterwards ---

    def act(self, act_id: UUID) -> AccountAct:
        with self.desk.begin() as session:
            return session.get_one(AccountAct, act_id)

    def acts(self) -> list[AccountAct]:
        """The owner's, in their order."""
        with self.desk.begin() as session:
            theirs = select(AccountAct).where(AccountAct.caller_sub == self.owner.sub)
            return list(session.exec(theirs.order_by(col(AccountAct.serial))))

    def subscription(self) -> Subscription:
        """The one that began last."""
        with self.desk.begin() as session:
            theirs = select(Subscription).where(Subscription.student_id == self.student_id)
            return session.exec(theirs.order_by(col(Subscription.began_at).desc())).first() or _missing()

    def saved(self) -> dict[str, bool]:
        """The cards that are attached by our rows, and whether each is the default one."""
        with self.desk.begin() as session:
            theirs = select(PaymentMethod).where(PaymentMethod.student_id == self.student_id)
            attached = theirs.where(col(PaymentMethod.detached_at).is_(None))
            return {row.stripe_payment_method_id: row.is_default for row in session.exec(attached)}

    def marked(self) -> list[tuple[str, str]]:
        """What Stripe will be asked about."""
        with self.desk.begin() as session:
            rows = session.execute(
                text("SELECT subject, object_id FROM stale_mark WHERE due_at IS NOT NULL ORDER BY id")
            )
            return [(row.subject, row.object_id) for row in rows]

    def called(self) -> list[str]:
        """The calls since the last time that changed something at Stripe, or were to."""
        names = [name for name, _ in self.gateway.calls]
        self.gateway.calls.clear()
        return names


def refusal(act: AccountAct) -> tuple[str, str | None]:
    return act.state.value, act.error_type


def _missing() -> Any:
    raise LookupError("there is none")
