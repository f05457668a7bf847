"""What hangs on a charge: its refunds, disputes and warnings are listed in one way, and name it in one way."""

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError, no_such
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import found


def page(call: Call, kind: str, url: str) -> Body:
    """A charge that is named must be there; its intent is what the rows are found by."""
    selection = lists.objects_of(kind, found.noun(kind))
    charge = found.in_parameter(call, "charge", "charge")
    if charge is not None:
        _narrow(selection, charge.body)
    if "payment_intent" in call.params:
        selection.where("payment_intent = ?", call.params["payment_intent"])
    return lists.page(call.account.database, selection, call.params, url)


def page_of(call: Call, kind: str, charge: Body, url: str) -> Body:
    selection = lists.objects_of(kind, found.noun(kind))
    _narrow(selection, charge)
    return lists.page(call.account.database, selection, call.params, url)


def named(call: Call) -> Stored:
    """The charge that `charge` or `payment_intent` in a request leads to; it took the buyer's money."""
    names = [name for name in ("payment_intent", "charge") if call.params.get(name)]
    if not names:
        sentence = "One of the following params should be provided for this request: payment_intent or charge."
        raise ApiError(sentence)
    if len(names) > 1:
        sentence = f"You can only specify one of these parameters: {', '.join(names)}."
        raise ApiError(sentence, param=names[0])
    return _of_intent(call) if names == ["payment_intent"] else _by_id(call)


def _by_id(call: Call) -> Stored:
    """Stripe says 404 and `id` here, though it is no part of the address."""
    charge = call.account.objects.get("charge", call.params["charge"])
    if charge is None:
        raise no_such("charge", call.params["charge"], status=404)
    if not charge.body["paid"]:
        raise _without_charge(charge.body["payment_intent"])
    return charge


def _of_intent(call: Call) -> Stored:
    intent = call.account.objects.get("payment_intent", call.params["payment_intent"])
    if intent is None:
        raise no_such("payment_intent", call.params["payment_intent"], param="payment_intent", status=404)
    charge = call.account.objects.get("charge", intent.body["latest_charge"] or "")
    if charge is None or not charge.body["paid"]:
        raise _without_charge(intent.id)
    return charge


def _without_charge(intent_id: str) -> ApiError:
    return ApiError(f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.")


def _narrow(selection: lists.Selection, charge: Body) -> None:
    selection.where("payment_intent = ?", charge["payment_intent"])
    selection.where("json_extract(body, '$.charge') = ?", charge["id"])
