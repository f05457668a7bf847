"""Every address of the control API."""

from collections.abc import Sequence

from starlette.routing import Route

from billing.sandbox.control import challenge, delivery, faults, money_back, renewed_card, script, state

CONTROL: Sequence[Route] = (
    Route("/_sandbox/health", state.health),
    Route("/_sandbox/reset", state.reset, methods=["POST"]),
    Route("/_sandbox/clock", state.clock, methods=["GET", "POST"]),
    Route("/_sandbox/settlement", state.settlement, methods=["GET", "POST"]),
    Route("/_sandbox/delivery", delivery.delivery, methods=["GET", "POST"]),
    Route("/_sandbox/deliveries", delivery.deliveries),
    Route("/_sandbox/events/{id}/deliver", delivery.deliver, methods=["POST"]),
    Route("/_sandbox/faults", faults.faults, methods=["GET", "POST", "DELETE"]),
    Route("/_sandbox/requests", faults.requests, methods=["GET", "DELETE"]),
    Route("/_sandbox/stripe.js", script.stripe_js),
    Route("/_sandbox/3ds/{intent}", challenge.page),
    Route("/_sandbox/3ds/{intent}/approve", challenge.approve, methods=["POST"]),
    Route("/_sandbox/3ds/{intent}/refuse", challenge.refuse, methods=["POST"]),
    Route("/_sandbox/refunds", money_back.refund, methods=["POST"]),
    Route("/_sandbox/refunds/{id}/succeed", money_back.succeed, methods=["POST"]),
    Route("/_sandbox/refunds/{id}/fail", money_back.fail, methods=["POST"]),
    Route("/_sandbox/disputes", money_back.dispute, methods=["POST"]),
    Route("/_sandbox/disputes/{id}/{move}", money_back.move, methods=["POST"]),
    Route("/_sandbox/fraud_warnings", money_back.warn, methods=["POST"]),
    Route("/_sandbox/payment_methods/{id}/renew", renewed_card.renew, methods=["POST"]),
)
