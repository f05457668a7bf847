"""The shapes of an invoice of a subscription, of its lines, and of what is to be paid on it.

Pages: "Invoices", "Invoice Line Items" and "Invoice Payment" of Stripe's API reference.
"""

from typing import Literal

from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.money import signed
from billing.sandbox.objects import Body

Reason = Literal["subscription_create", "subscription_cycle", "subscription_update", "upcoming"]
_BLANK: Body = dict.fromkeys((
    "account_name", "account_tax_ids", "application", "automatically_finalizes_at", "custom_fields",
    "customer_account", "customer_address", "customer_shipping", "default_payment_method", "default_source",
    "description", "due_date", "effective_at", "ending_balance", "footer", "from_invoice", "hosted_invoice_url",
    "invoice_pdf", "last_finalization_error", "latest_revision", "next_payment_attempt", "number", "on_behalf_of",
    "receipt_number", "rendering", "shipping_cost", "shipping_details", "statement_descriptor", "test_clock",
    "threshold_reason", "webhooks_delivered_at",
))  # fmt: skip
_ZERO = dict.fromkeys(
    (
        "amount_overpaid", "amount_paid", "amount_shipping", "attempt_count", "post_payment_credit_notes_amount",
        "pre_payment_credit_notes_amount", "starting_balance",
    ),
    0,
)  # fmt: skip
_EMPTY = ("default_tax_rates", "discounts", "total_discount_amounts", "total_pretax_credit_amounts", "total_taxes")


def invoice(call: Call, subscription: Body, items: list[Body], reason: Reason) -> Body:
    """A draft of what `items` cost in the periods that they are in."""
    invoice_id = new_id("upcoming_in" if reason == "upcoming" else "in")
    customer = call.account.objects.need("customer", subscription["customer"]).body
    lines = [_line(call, invoice_id, subscription, item) for item in items]
    total = sum(line["amount"] for line in lines)
    now = call.account.clock.now()
    return {
        **_BLANK,
        **_ZERO,
        **{name: [] for name in _EMPTY},
        "id": invoice_id,
        "object": "invoice",
        "account_country": "DE",
        "amount_due": total,
        "amount_remaining": total,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_email": customer.get("email"),
        "customer_name": customer.get("name"),
        "customer_phone": customer.get("phone"),
        "customer_tax_exempt": customer.get("tax_exempt", "none"),
        "customer_tax_ids": [],
        "issuer": {"type": "self"},
        "lines": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "url": f"/v1/invoices/{invoice_id}/lines",
        },
        "livemode": False,
        "metadata": {},
        "parent": _parent(subscription),
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": subscription["payment_settings"]["payment_method_types"],
        },
        "period_end": now,
        "period_start": subscription["start_date"] if reason == "subscription_create" else now,
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
    }


def payment(bill: Body, intent: Body, created: int) -> Body:
    return {
        "id": new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": bill["amount_due"],
        "created": created,
        "currency": bill["currency"],
        "invoice": bill["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }


def _parent(subscription: Body) -> Body:
    """The metadata is the subscription's as it is now; later changes do not reach the invoice."""
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def _line(call: Call, invoice_id: str, subscription: Body, item: Body) -> Body:
    price = item["price"]
    product = call.account.objects.need("product", price["product"]).body
    amount = price["unit_amount"] * item["quantity"]
    rate = f"{signed(price['unit_amount'], price['currency'])} / {price['recurring']['interval']}"
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": f"{item['quantity']} × {product['name']} (at {rate})",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": dict(subscription["metadata"]),
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"end": item["current_period_end"], "start": item["current_period_start"]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "subtotal": amount,
        "taxes": [],
    }
