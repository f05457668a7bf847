"""What rings and what is drawn: alert rules and a dashboard that speak of figures which are really there."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]  # a parser of the tests' own tools

from billing import ledger
from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.models import BeatSlot
from billing.reconciliation import cursor
from billing.states import ReconciliationScope
from tests.rules.sources import ROOT
from tests.support.factories import add_event, event_body
from tests.web.test_metrics import SAMPLE, measured, read_then

DEPLOY = ROOT / "deploy"
NAME = re.compile(r"\bbilling_[a-z_]+")
SELECTED = re.compile(r'(billing_[a-z_]+)\{([a-z]+)="([^"]+)"\}')
SEVERITIES = {"page", "ticket"}


def rules() -> Sequence[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    return found


def asked() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


ASKED = tuple(asked())


@pytest.fixture
def figures(settings: Settings, begin: Begin) -> dict[str, float]:
    """Of a service that has done each thing once."""
    now = utc_now()
    ledger.prove(begin, now=now)
    add_event(begin, event_body("any", {}, at=now), at=now - timedelta(minutes=1))
    with begin() as session:
        session.connection().exec_driver_sql(
            "UPDATE webhook_event SET due_at = NULL, hint_at = NULL, state = 'ignored', outcome = 'unhandled',"
            " processed_at = received_at"
        )
        cursor.begin_at(session, now)
        session.add(BeatSlot(entry="billing.ledger.audit", slot=now))
        session.add_all([read_then(scope, now, 0, None) for scope in ReconciliationScope])
    return measured(settings)


def test_everything_that_is_asked_for_is_there(figures: dict[str, float]) -> None:
    """A rule about a figure that was renamed never rings, and looks like health."""
    families = {found[1] for name in figures if (found := SAMPLE.fullmatch(f"{name} 1"))}
    names = {name for expression in ASKED for name in NAME.findall(expression)}
    assert names - families == set()
    labelled = {f'{name}{{{label}="{word}"}}' for e in ASKED for name, label, word in SELECTED.findall(e)}
    assert labelled - figures.keys() == set()


def test_every_figure_is_looked_at(figures: dict[str, float]) -> None:
    """What neither rings nor is drawn is measured for nobody."""
    families = {found[1] for name in figures if (found := SAMPLE.fullmatch(f"{name} 1"))}
    names = {name for expression in ASKED for name in NAME.findall(expression)}
    assert families - names == {"billing_ledger_audited_students"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_a_rule_says_whom_it_wakes_and_why(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Billing[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_no_two_rules_have_one_name() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)


def test_panels_do_not_cover_each_other() -> None:
    """Grafana would push them about, and the file would no longer be the picture."""
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_is_of_no_installation() -> None:
    """Whoever imports it chooses where its figures come from."""
    sources = {panel["datasource"]["uid"] for panel in panels()}
    assert sources == {"${datasource}"}
