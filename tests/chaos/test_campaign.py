"""A short fault campaign, and what must be true of every one."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.rules.sources import ROOT
from tests.support.processes import assert_gone, family_of, living

BILLING = Path(sys.executable).parent / "billing"
PURCHASES, SECONDS = 200, 20

pytestmark = pytest.mark.timeout(300)
"""What is broken has three minutes to settle; the campaign is of whichever test comes first."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One that PostgreSQL's own account can enter, as it cannot enter those of pytest."""
    with tempfile.TemporaryDirectory(prefix="billing-tests-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def chaos(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The command as it is typed, with nothing of this machine's settings."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    command = [str(BILLING), "chaos", *words]
    errors = (folder / "said").open("w")
    with (
        errors,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as running,
    ):
        try:
            yield running
        finally:
            running.terminate()


def said(folder: Path) -> str:
    return (folder / "said").read_text()


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """Of a campaign whose seed is BILLING_CHAOS_SEED, or a new one each time."""
    seed = os.environ.get("BILLING_CHAOS_SEED") or str(Random().randrange(10**6))
    print(f"BILLING_CHAOS_SEED={seed}")
    size = ("--purchases", str(PURCHASES), "--seconds", str(SECONDS), "--drop-share", "0")
    with chaos(folder, "--seed", seed, *size, "--report", "json") as running:
        text, _ = running.communicate()
    assert text, f"BILLING_CHAOS_SEED={seed}: {said(folder)[-3000:]}"
    found: dict[str, Any] = json.loads(text)
    found["exit_status"] = running.returncode
    return found


def test_nothing_is_lost_and_nothing_is_doubled(report: dict[str, Any]) -> None:
    """Whatever was killed, frozen, wiped or misled: every payment is credited once, and was asked for once."""
    names = ("lost", "doubled", "duplicates", "missing", "unpaid")
    assert {name: report[name] for name in names} == {name: [] for name in names}, told(report)


def test_money_and_hours_are_conserved_at_every_look(report: dict[str, Any]) -> None:
    assert report["violations"] == [], told(report)
    assert report["looks"] > SECONDS / 4, "most looks found a database"
    assert report["audit_holds"], told(report)
    assert report["money"]["stripe_cents"] == report["money"]["ledger_cents"] > 0, told(report)
    assert report["conservation"]


def test_everything_is_settled_after_the_last_fault(report: dict[str, Any]) -> None:
    """By itself: nobody has to push a row on."""
    assert report["unfinished"] is None, told(report)
    assert report["settled_seconds"] >= report["served_seconds"]


def test_nobody_is_answered_what_no_client_should_ever_get(report: dict[str, Any]) -> None:
    """While things break a client is told to come again: never a 500, never two purchases for one key."""
    assert report["odd"] == [], told(report)
    assert report["dead_letters"] == {}, told(report)


def test_faults_have_happened_under_load(report: dict[str, Any]) -> None:
    """A campaign without them would prove nothing."""
    assert sum(report["faults"].values()) >= 8
    assert report["deaths"], told(report)
    assert report["promised"]["purchases"] == PURCHASES
    assert report["paid"] > PURCHASES / 2
    assert (report["exit_status"], report["passed"]) == (0, True)


def told(report: dict[str, Any]) -> str:
    """How to have the same campaign again, and what it found."""
    return f"BILLING_CHAOS_SEED={report['seed']}\n{json.dumps(report, indent=1)}"


def test_no_process_outlives_the_command(folder: Path) -> None:
    """Ctrl-C in the middle of it all: servers and workers are gone, and so is what they wrote."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    with chaos(folder, "--purchases", "50", "--seconds", "60") as running:
        deadline = time.monotonic() + 60
        while "everything runs" not in said(folder):
            assert running.poll() is None, said(folder)
            assert time.monotonic() < deadline, said(folder)
            time.sleep(0.05)
        family = family_of(running.pid)
        assert len(living(family)) > 8
        running.send_signal(signal.SIGINT)
        running.wait(timeout=120)
        assert_gone(family, within=15)
    assert running.returncode != 0
    assert not list(folder.glob("billing-chaos-*"))
