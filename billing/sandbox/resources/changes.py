"""An object changes, is kept, and events tell of it: with the former values of what changed, as Stripe's do."""

from billing.sandbox.call import Call
from billing.sandbox.objects import Body, Stored


def keep(call: Call, stored: Stored, change: Body, *event_types: str) -> None:
    """What `change` repeats is no change; where there is none, nothing has happened."""
    before = _former(stored.body, change)
    if not before:
        return
    stored.body.update(change)
    call.account.objects.save(stored)
    for event_type in event_types:
        call.record(event_type, stored.body, before)


def _former(body: Body, change: Body) -> Body:
    former: Body = {}
    for name, value in change.items():
        old = body.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := _former({**dict.fromkeys(value), **old}, {**dict.fromkeys(old), **value}):
                former[name] = inner
        elif old != value:
            former[name] = old
    return former
