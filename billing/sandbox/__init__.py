"""A stateful stand-in for the Stripe API: a program of its own beside the system, imported by nothing else.

    python -m billing.sandbox --port 9400 --state DIR --webhook-url http://127.0.0.1:8000/api/finances/webhooks/stripe/

`--host` is 127.0.0.1 unless given. `STRIPE_SECRET_KEY`, `STRIPE_PUBLISHABLE_KEY` and `STRIPE_WEBHOOK_SECRET` are read
from the environment; without them the sandbox's own, known to everyone, are used. The official client talks to it with
`StripeClient(key, base_addresses={"api": "http://127.0.0.1:9400"})`.

Test control, JSON in and out, no key, from this machine only; see `control/` for every field:

    GET    /_sandbox/health
    POST   /_sandbox/reset
    POST   /_sandbox/clock        {"advance_seconds": 86400} or {"reset": true}; GET shows it
    POST   /_sandbox/settlement   {"delay_seconds": 3}: how long an asynchronous payment takes, a bank to decide
                                  about a refund or about evidence too, by the sandbox's clock
    POST   /_sandbox/delivery     {"paused", "duplicates", "delay_seconds", "reorder_seconds", "drop_share",
                                  "drop_next", "types", "parallel", "seed"}: a whole new plan, defaults where
                                  absent; GET shows it
    GET    /_sandbox/deliveries   {"pending", "delivered", "dropped", "abandoned"}
    POST   /_sandbox/events/{id}/deliver?times=20&parallel=1
    POST   /_sandbox/faults       [{"match": {"method", "path"}, "when": "before" | "after", "do": …, "times", "share",
                                  "seed"}] adds rules; GET lists, DELETE clears. Where "do" is one of
                                  {"status", "body", "headers", "stored"}, {"delay_seconds"}, {"cut": true | "body"},
                                  {"html_200": true}; "path" is a regular expression, searched
    GET    /_sandbox/requests     the API's recent requests; DELETE forgets them
    POST   /_sandbox/3ds/{intent}/approve or /refuse, of a payment or a setup intent; GET /_sandbox/3ds/{intent} is
                                  the buyer's page
    POST   /_sandbox/refunds      {"payment_intent" or "charge", "amount", "reason", "status"}: made in the dashboard,
                                  without metadata; with a "status" of pending or requires_action it stays so
    POST   /_sandbox/refunds/{id}/succeed; /_sandbox/refunds/{id}/fail {"failure_reason"}, also after it succeeded
    POST   /_sandbox/disputes     {"payment_intent" or "charge", "amount", "reason", "is_inquiry"}
    POST   /_sandbox/disputes/{id}/won, /lost, /funds_reinstated; of an inquiry /warning_closed, /escalated
    POST   /_sandbox/fraud_warnings {"payment_intent" or "charge", "fraud_type"}
    POST   /_sandbox/payment_methods/{id}/renew {"exp_month", "exp_year", "last4"}: the bank's new card in place of
                                  the old one (payment_method.automatically_updated)
    GET    /_sandbox/stripe.js    stands in for Stripe.js in a checkout page; see `pages/stripe.js`

Subscriptions renew by the sandbox's clock: `invoice.upcoming` a week before, `customer.subscription.updated` and
`invoice.created` at the period's end, `invoice.finalized` and the payment an hour later, tries again 1, 3 and 5 days
after each other, then `customer.subscription.deleted`. An incomplete one expires after 23 hours. What is done late,
because time was moved past it, is dated when it was due; its events are dated when they are recorded.
"""
