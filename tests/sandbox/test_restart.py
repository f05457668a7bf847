"""What the sandbox knows outlives its process."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import stripe

from tests.sandbox.running import Receiver, client, running, until

ORDER: Any = {"amount": 14000, "currency": "eur"}
KEY: Any = {"idempotency_key": "purchase:1"}


def test_a_killed_sandbox_comes_back_with_everything(tmp_path: Path, receiver: Receiver) -> None:
    with running(tmp_path / "state", receiver.url) as sandbox:
        sandbox.tell("settlement", {"delay_seconds": 1000})
        debit = sandbox.pay("pm_success_de")
        sandbox.tell("delivery", {"paused": True})
        intent = sandbox.v1.payment_intents.create(ORDER, KEY)
        sandbox.tell("clock", {"advance_seconds": 500})
        sandbox.kill()
        sandbox.start()
        assert sandbox.v1.payment_intents.create(ORDER, KEY).id == intent.id
        assert sandbox.ask("clock")["offset_seconds"] == 500
        receiver.wait_for("payment_intent.created", intent.id)
        sandbox.tell("clock", {"advance_seconds": 500})
        receiver.wait_for("payment_intent.succeeded", debit.id)
        until(lambda: sandbox.ask("deliveries")["pending"] == 0, "everything is settled")


def test_a_busy_sandbox_stops_when_told(tmp_path: Path) -> None:
    """A request under way, a webhook that is away and open lines keep nobody waiting."""
    with running(tmp_path / "state", "http://127.0.0.1:1/") as sandbox:
        sandbox.fault({"delay_seconds": 60}, "customers")
        intent = sandbox.new_intent()
        with ThreadPoolExecutor(1) as threads:
            unanswered = threads.submit(client(sandbox.url).v1.customers.create, {})
            until(lambda: any("customers" in entry["path"] for entry in sandbox.ask("requests")["requests"]), "it came")
            assert sandbox.stop() < 3
            assert isinstance(unanswered.exception(), stripe.StripeError)
        sandbox.start()
        assert sandbox.intent(intent.id).status == "requires_payment_method"
