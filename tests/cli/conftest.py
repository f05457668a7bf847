"""The `billing` command in this process, with an environment of its own, as its script runs it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from billing import cli
from billing.config import Settings
from tests.cli.support import Said
from tests.support.environment import environment


@pytest.fixture
def variables(settings: Settings, tmp_path: Path) -> dict[str, str]:
    """What every command finds in its environment."""
    return environment(settings.database_url, settings.redis_url, STATE_DIR=str(tmp_path), PORT="1")


@pytest.fixture
def billing(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Runs it with these words; `variables` may be changed before."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Said:
        for name in [name for name in os.environ if name.isupper()]:
            monkeypatch.delenv(name)
        for name, value in {**variables, "PATH": os.defpath, "COLUMNS": "200"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["billing", *words])
        capsys.readouterr()
        with capture_logs(), pytest.raises(SystemExit) as ended:  # the script keeps them from the command's words
            cli.run()
        said = capsys.readouterr()
        sys.stderr.write(said.err)  # shown where the test fails, and read by the next command where it does not
        return Said(ended.value.code or 0, said.out, said.err)

    return run
