"""Sweeps by real processes: told by the scheduler, killed in the middle, ten at once."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from billing import ledger
from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.messages import StartLateSweep, StartNightlySweep
from billing.states import SweepTrigger
from tests.support.database import TEMPLATE
from tests.support.environment import environment
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import ROOT, Stack, eventually, running_stack
from tests.support.sweeps import NOON, add_lots, expiries_of, load_run, open_sweep
from workers.hints import Publisher

CUTOFF = NOON - timedelta(hours=24)
KILLS = 10


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    postgres.create_database("flow_of_expiry", template=TEMPLATE)
    folder, url = tmp_path_factory.mktemp("flow_of_expiry"), postgres.url("flow_of_expiry")
    with running_stack(postgres, valkey, folder, "maintenance", DATABASE_URL=url) as running:
        yield running


def test_a_doubled_tick_is_one_run_and_the_worker_does_it(stack: Stack) -> None:
    """Two schedulers by mistake, and the hourly look at the same time: one nightly run, each lot once."""
    add_lots(stack.begin, students=50, lots_each=2, expires_at=utc_now() - timedelta(days=7))
    publisher = Publisher(stack.settings)
    publisher.publish([StartNightlySweep(), StartNightlySweep(), StartLateSweep(), StartNightlySweep()])
    publisher.close()
    lots = "SELECT coalesce(sum(lots), 0) FROM sweep_run WHERE trigger <> 'command'"
    eventually(lambda: stack.scalar(lots) == 100, 20, lambda: stack.processes["maintenance"].log[-2000:])
    runs = "SELECT count(*) FROM sweep_run WHERE trigger = :trigger"
    assert stack.scalar(runs, trigger=SweepTrigger.NIGHTLY.value) == 1
    assert ledger.violations(stack.begin) == []


def test_a_run_whose_message_was_lost_is_found(stack: Stack) -> None:
    """Opened by a process that died before it could say so: the row is due, and that is enough."""
    add_lots(stack.begin, students=5, lots_each=2, expires_at=CUTOFF, name="other")
    run_id = open_sweep(stack.begin)
    eventually(lambda: load_run(stack.begin, run_id).finished_at is not None, 10)
    assert load_run(stack.begin, run_id).lots == 10


def test_a_sweep_that_is_killed_ten_times_takes_each_lot_once(begin: Begin, database_url: str) -> None:
    """Wherever it is killed, in a statement or between two transactions, whoever goes on finds what is left."""
    add_lots(begin, students=2_000, lots_each=2, expires_at=CUTOFF)
    run_id = open_sweep(begin)
    chance = random.Random(run_id)  # a kill that broke something can be repeated
    for _ in range(KILLS):
        _kill_in_the_middle(database_url, run_id, after_chunks=chance.randint(1, 2), wait=chance.random() * 0.02)
        assert ledger.violations(begin) == []
    killed = load_run(begin, run_id)
    assert killed.finished_at is None
    assert 0 < killed.lots < 4_000
    with _sweeper(database_url, run_id) as last:
        assert last.wait(60) == 0
    run = load_run(begin, run_id)
    assert (run.lots, run.minutes, run.students) == (4_000, 4_000 * 60, 2_000)
    assert len({entry.source for entry in expiries_of(begin)}) == len(expiries_of(begin)) == 4_000
    assert ledger.violations(begin) == []


def _sweeper(url: str, run_id: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.support.sweeps", url, str(run_id)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _kill_in_the_middle(url: str, run_id: int, *, after_chunks: int, wait: float) -> None:
    with _sweeper(url, run_id) as process:
        assert process.stdout is not None
        for _ in range(after_chunks):
            assert process.stdout.readline() == "chunk\n"
        try:
            process.wait(wait)  # somewhere in the next chunk
        except subprocess.TimeoutExpired:
            process.kill()


def test_ten_commands_at_once_take_each_lot_once(begin: Begin, settings: Settings, tmp_path: Path) -> None:
    """Somebody is impatient, and so is everybody else."""
    add_lots(begin, students=5_000, lots_each=4, expires_at=utc_now() - timedelta(days=7))
    variables = environment(settings.database_url, settings.redis_url, STATE_DIR=str(tmp_path), PATH=os.defpath)
    command = [str(Path(sys.executable).parent / "billing"), "expire", "--json"]
    running = [
        subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(10)
    ]
    ended = [(process.communicate(timeout=100)[1], process.returncode) for process in running]
    assert {status for _, status in ended} == {0}, ended
    with begin() as session:
        sums = session.execute(text("SELECT count(*), sum(lots), sum(minutes), sum(students) FROM sweep_run")).one()
    assert tuple(sums) == (10, 20_000, 20_000 * 60, 5_000)
    assert len({entry.source for entry in expiries_of(begin)}) == 20_000
    assert ledger.violations(begin) == []
