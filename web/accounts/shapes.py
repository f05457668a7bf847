"""Cards, subscriptions and what was asked to be done with them, as their owner is shown them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog

from billing.reads.account_acts import AccountActView
from billing.reads.cards import CardView
from billing.reads.subscriptions import Dunning, PeriodHours, SubscriptionInShort, SubscriptionView
from billing.secrets import UnreadableSecretError, Vault
from web.answers import euros, hours, instant
from web.plans import plan_details

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.accounts")


def cards_content(cards: Sequence[CardView], *, now: datetime) -> dict[str, Any]:
    return {"success": True, "payment_methods": [_card(card, now) for card in cards]}


def _card(card: CardView, now: datetime) -> dict[str, Any]:
    return {
        "id": card.id,
        "brand": card.brand,
        "last4": card.last4,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "is_default": card.is_default,
        "is_expired": card.has_expired(now=now),
    }


def act_content(act: AccountActView, vault: Vault) -> dict[str, Any]:
    return {
        "success": True,
        "id": str(act.id),
        "action": act.action,
        "status": act.state,
        "error_type": act.error_type,
        "message": act.error_message,
        "result": act.result,
        "client_secret": opened(vault, act.sealed_secret),
        "requested_at": instant(act.requested_at),
        "decided_at": act.decided_at and instant(act.decided_at),
    }


def subscription_content(found: SubscriptionView | None, vault: Vault) -> dict[str, Any]:
    return {"success": True, "subscription": found and _subscription(found, vault)}


def _subscription(found: SubscriptionView, vault: Vault) -> dict[str, Any]:
    return {
        "plan": found.plan and plan_details(found.plan),
        "next_plan": found.next_plan and plan_details(found.next_plan),
        "status": found.status,
        "current_period_start": instant(found.period_start),
        "current_period_end": instant(found.period_end),
        "cancel_at_period_end": found.cancel_at_period_end,
        "is_paused": found.is_paused,
        "hours_this_period": found.hours and _period(found.hours),
        "dunning": found.dunning and _dunning(found.dunning, vault),
        "ended_at": found.ended_at and instant(found.ended_at),
        "payments": found.transaction_ids,
    }


def _period(period: PeriodHours) -> dict[str, str]:
    return {
        "hours_included": hours(period.granted),
        "hours_consumed": hours(period.consumed),
        "hours_remaining": hours(period.left),
    }


def _dunning(dunning: Dunning, vault: Vault) -> dict[str, Any]:
    return {
        "amount_due": euros(dunning.due_cents),
        "attempts": dunning.attempts,
        "next_attempt_at": dunning.next_attempt_at and instant(dunning.next_attempt_at),
        "client_secret": opened(vault, dunning.sealed_secret),
    }


def subscription_info(found: SubscriptionInShort | None) -> dict[str, Any]:
    """What a balance says of it; the next charge is null where there will be none."""
    charge_cents = found.next_charge_cents if found else None
    return {
        "is_active": found is not None and found.is_live,
        "status": found and found.status,
        "plan_name": found and found.plan_name,
        "current_period_end": found and instant(found.period_end),
        "cancel_at_period_end": found is not None and found.cancel_at_period_end,
        "is_paused": found is not None and found.is_paused,
        "next_charge_eur": None if charge_cents is None else euros(charge_cents),
    }


def opened(vault: Vault, sealed: bytes | None) -> str | None:
    """None too where its key was removed too early: everything else can still be told."""
    if sealed is None:
        return None
    try:
        return vault.open(sealed)
    except UnreadableSecretError:
        log.exception("client_secret_unreadable")
        return None
