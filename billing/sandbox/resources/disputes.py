"""Disputes: read, answered with evidence, or given up. Page: "Disputes" of Stripe's API reference."""

from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, dispute_stages, found, of_charges

_UNSERVED_EVIDENCE = ("appeal", "enhanced_evidence")


def retrieve(call: Call) -> Body:
    return found.in_address(call, "dispute").body


def list_all(call: Call) -> Body:
    return of_charges.page(call, "dispute", "/v1/disputes")


def update(call: Call) -> Body:
    """Evidence goes to the bank at once unless `submit` is false; it is then kept until a request says so."""
    dispute = _open(call)
    change: Body = {"metadata": merged(dispute.body["metadata"], call.params.get("metadata"))}
    if "intended_submission_method" in call.params:
        change["intended_submission_method"] = call.params["intended_submission_method"]
    change["evidence"] = _evidence(call, dispute.body["evidence"])
    details = {**dispute.body["evidence_details"], "has_evidence": any(change["evidence"].values())}
    change["evidence_details"] = details
    is_submitted = call.params.get("submit", "evidence" in call.params)
    if is_submitted and details["has_evidence"]:
        change |= dispute_stages.answer(call, dispute, details)
    changes.keep(call, dispute, change, "charge.dispute.updated")
    return dispute.body


def close(call: Call) -> Body:
    """The seller accepts it: lost; an inquiry, which took nothing, is only closed."""
    dispute = _open(call)
    if dispute_stages.is_inquiry(dispute.body):
        dispute_stages.close_inquiry(call, dispute)
    else:
        dispute_stages.lose(call, dispute)
    return dispute.body


def _open(call: Call) -> Stored:
    dispute = found.in_address(call, "dispute")
    if dispute.body["status"] not in dispute_stages.OPEN:
        raise ApiError("This dispute is already closed")
    return dispute


def _evidence(call: Call, current: Body) -> Body:
    given = call.params.get("evidence", {})
    for name in _UNSERVED_EVIDENCE:
        if name in given:
            sentence = f"Stripe takes the parameter evidence[{name}], the sandbox does not."
            raise ApiError(sentence, param=f"evidence[{name}]")
    return {**current, **{name: value or None for name, value in given.items()}}
