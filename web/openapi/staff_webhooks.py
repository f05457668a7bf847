"""What failed and what differs: staff read, the role `admin` sees to it."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from billing.deadletters.names import TABLES
from billing.reads.deadletters import STATES
from billing.states import CaseState, EventState, FindingKind
from web.openapi import parameters as given
from web.openapi import staff_webhooks_answers as shapes
from web.openapi.operation import REPEATED, USER, Answer, Operation, Operations
from web.openapi.parameters import DAY_OR_INSTANT, LIST_PAGES, TEXT, Parameter, told
from web.openapi.staff import ACCEPTED, ADMIN, ASKED, FOR_STAFF, WITH_KEY
from web.staff.bodies import LARGEST_ID, NoteBody, ReasonBody

WEBHOOKS, LETTERS, FINDINGS, CASES = (f"{ADMIN}{noun}/" for noun in ("webhooks", "dead-letters", "findings", "cases"))
LETTER = f"{LETTERS}{{kind}}/{{subject}}/"


def _asked(name: str, description: str, schema: dict[str, Any], **more: Any) -> Parameter:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _one_of(name: str, words: Iterable[str]) -> Parameter:
    return _asked(name, "Only these; an unknown one fits nothing.", {"type": "string", "enum": [*words]})


def _named(name: str, description: str, schema: dict[str, Any], **more: Any) -> Parameter:
    return {"name": name, "in": "path", "description": description, "schema": schema, "required": True, **more}


EVENT_ID = _named("event_id", "Stripe's id of an event, or ours.", TEXT, example="evt_1Q")
OF_LETTER = (
    _named("kind", "Of the row that gave up.", {"type": "string", "enum": [*TABLES]}),
    _named("subject", "The id of that row.", TEXT, example="12"),
)
FINDING_ID = _named("finding_id", "The `id` of a finding.", {"type": "string", "format": "uuid"})
CASE_ID = _named("case_id", "The `id` of a case.", {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}, example=3)
DRY_RUN = _asked(
    "dry_run",
    "Only show what it would write: the handler of an event runs, and all of it is taken back. It needs no body.",
    {"type": "boolean", "default": False},
)
PERIOD = (
    _asked("date_from", "Received at this instant, or on this day in business time, or later.", DAY_OR_INSTANT),
    _asked("date_to", "Received up to this instant, or to the end of this day in business time.", DAY_OR_INSTANT),
)


def _list(name: str, summary: str, description: str, page: type[BaseModel], *filters: Parameter) -> Operation:
    answers = {200: Answer("A page.", page)}
    problems = (*FOR_STAFF, "not_found")
    return Operation(name, summary, description, answers, problems, "staff", USER, (*LIST_PAGES, *filters))


def _act(
    name: str, summary: str, description: str, done: Answer, *asked: Parameter, body: type[BaseModel] = ReasonBody
) -> Operation:
    problems = (*ASKED, "not_found", "invalid_state")
    answers = {200: done, 202: ACCEPTED}
    is_optional = DRY_RUN in asked
    parameters = (*asked, *WITH_KEY)
    return Operation(name, summary, description, answers, problems, "staff", USER, parameters, body, is_optional)


def _done(shape: type[BaseModel]) -> Answer:
    return Answer("Done in the time that `Prefer` grants.", shape, told(**REPEATED))


REPLAYED = Answer(
    "Done in the time that `Prefer` grants, with what became of it by then; or a `dry_run`.",
    [shapes.Replayed, shapes.ReplayPreview],
    told(**REPEATED),
)
REPLAY = "It is worked as if it had never been tried. What is applied already, or open, stays as it is."

STAFF_WEBHOOKS: Operations = {
    ("GET", f"{WEBHOOKS}status/"): _list(
        "listEvents",
        "Stripe's events, and what became of them",
        "The newest first, with how many are in which state and how long the newest took.",
        shapes.EventPage,
        _one_of("status", EventState),
        _asked("event_type", "Only these, in Stripe's words.", TEXT, example="payment_intent.succeeded"),
        _asked("search", "A part of Stripe's id or of the type.", TEXT, example="evt_1Q"),
        *PERIOD,
    ),
    ("POST", f"{WEBHOOKS}{{event_id}}/replay/"): _act(
        "replayEvent", "Work an event anew", REPLAY, REPLAYED, EVENT_ID, DRY_RUN
    ),
    ("GET", LETTERS): _list(
        "listDeadLetters",
        "What gave up",
        "Work of every kind, and messages that nobody could read; the newest first.",
        shapes.LetterPage,
        _one_of("kind", TABLES),
        _one_of("state", STATES),
        _asked("error_class", "Only these: what stands before the colon of the reason.", TEXT, example="KeyError"),
        _asked("digest", "Only failures that are alike; the beginning is enough.", TEXT, example="0f343b09"),
    ),
    ("POST", f"{LETTER}replay/"): _act(
        "replayDeadLetter", "Work it anew", f"{REPLAY} A message cannot be.", REPLAYED, *OF_LETTER, DRY_RUN
    ),
    ("POST", f"{LETTER}park/"): _act(
        "parkDeadLetter", "Put it aside", "To be seen to later.", _done(shapes.MarkedLetter), *OF_LETTER
    ),
    ("POST", f"{LETTER}discard/"): _act(
        "discardDeadLetter", "Be done with it", "It is not worked.", _done(shapes.MarkedLetter), *OF_LETTER
    ),
    ("GET", FINDINGS): _list(
        "listFindings",
        "Where Stripe and we differ",
        "The newest first.",
        shapes.FindingPage,
        _one_of("state", CaseState),
        _one_of("kind", FindingKind),
    ),
    ("POST", f"{FINDINGS}{{finding_id}}/close/"): _act(
        "closeFinding", "Close a difference", "With a note.", _done(shapes.Closed), FINDING_ID, body=NoteBody
    ),
    ("GET", CASES): _list(
        "listCases",
        "What a person has to look at",
        "The newest first.",
        shapes.CasePage,
        _one_of("state", CaseState),
        _asked("reason", "Only these.", given.TEXT, example="amount_differs"),
    ),
    ("POST", f"{CASES}{{case_id}}/close/"): _act(
        "closeCase", "Close a case", "With a note.", _done(shapes.Closed), CASE_ID, body=NoteBody
    ),
}
