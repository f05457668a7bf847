"""Early fraud warnings: a bank says that a charge may be fraud, before or without a dispute.

Pages: "Early fraud warning" of Stripe's API reference, "Measuring disputes" of its documentation.
"""

from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, found, of_charges

KIND = "radar.early_fraud_warning"
FRAUD_TYPE = "misc"


def retrieve(call: Call) -> Body:
    return found.in_address(call, KIND).body


def list_all(call: Call) -> Body:
    return of_charges.page(call, KIND, "/v1/radar/early_fraud_warnings")


def add(call: Call, charge: Stored, fraud_type: str = FRAUD_TYPE) -> Stored:
    warning = Stored(_shape(call, charge.body, fraud_type))
    call.account.objects.add(warning, warning.body["created"])
    call.record(f"{KIND}.created", warning.body)
    return warning


def settle(call: Call, charge: Body) -> None:
    """Nothing is left to do about a charge that is disputed or fully refunded."""
    for warning in call.account.objects.of_charge(KIND, charge):
        changes.keep(call, warning, {"actionable": False}, f"{KIND}.updated")


def _shape(call: Call, charge: Body, fraud_type: str) -> Body:
    return {
        "id": new_id("issfr"),
        "object": KIND,
        "actionable": not (charge["disputed"] or charge["refunded"]),
        "charge": charge["id"],
        "created": call.account.clock.now(),
        "fraud_type": fraud_type,
        "livemode": False,
        "payment_intent": charge["payment_intent"],
    }
