"""Who may end a transaction, write hours, or move a state."""

import ast
import re

import pytest

from tests.rules.sources import Module, modules

ENGINES = ("billing/db.py", "billing/migrate.py")
TRANSACTION_WORDS = {".commit", ".rollback", ".create_engine", ".create_async_engine", ".sessionmaker"}
MAKERS = {"sqlalchemy.create_engine", "sqlalchemy.ext.asyncio.create_async_engine", "sqlalchemy.orm.sessionmaker"}

HOURS = re.compile(r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(hour_\w+|student_balance)", re.IGNORECASE)
REWRITE = re.compile(r"\b(UPDATE|DELETE\s+FROM|TRUNCATE)\s+hour_(entry|allocation)", re.IGNORECASE)
PURCHASE_STATE = re.compile(
    r"\bUPDATE\s+purchase\b[^;\"]*?\bSET\b(?:(?!\bFROM\b|\bWHERE\b)[^;\"])*?\bstate\s*=", re.IGNORECASE
)

MOVERS = (
    "billing/purchases/lifecycle.py",
    "billing/purchases/calls.py",
    "billing/webhooks/settle.py",
    "billing/refunds/outcomes.py",
    "billing/disputes/found.py",
)
"""Where a state is assigned: `move_to` for purchases, and the endings of a call and of an event."""

SET_BASED_MOVERS = ("billing/purchases/completion.py",)
"""Many at once, each of which was asked for by `can_move` or is in PAYABLE."""


def ends_transactions(module: Module) -> set[str]:
    return (module.attributes() & TRANSACTION_WORDS) | (module.imported() & MAKERS)


def assigns_state(module: Module) -> bool:
    targets = [
        target
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
        for assigned in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for target in ast.walk(assigned)
    ]
    return any(
        isinstance(target, ast.Attribute) and target.attr == "state" and not _is_self(target.value)
        for target in targets
    )


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def calls_out_inside(module: Module) -> list[int]:
    """Lines at which a gateway is used inside a `with begin()`."""
    blocks = [node for node in ast.walk(module.tree) if isinstance(node, ast.With | ast.AsyncWith) and _opens(node)]
    return [
        node.lineno
        for block in blocks
        for statement in block.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute) and _name(node.value) == "gateway"
    ]


def _opens(block: ast.With | ast.AsyncWith) -> bool:
    calls = [item.context_expr for item in block.items if isinstance(item.context_expr, ast.Call)]
    return any(_name(call.func) in {"begin", "begin_async"} for call in calls)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def test_one_module_makes_engines_and_ends_transactions() -> None:
    """A helper that commits makes halves of what its caller meant to be whole."""
    found = {module.path for module in modules() if ends_transactions(module)}
    assert found - set(ENGINES) == set()


def test_stripe_is_never_called_while_a_transaction_is_open() -> None:
    """A slow answer of somebody else must not hold locks and connections of ours."""
    assert {module.path: calls_out_inside(module) for module in modules() if calls_out_inside(module)} == {}


def test_the_ledger_is_the_only_writer_of_hours() -> None:
    """Every minute that comes or goes passes the one place that locks, counts and records."""
    found = [module.path for module in modules() if HOURS.search(module.text)]
    assert [path for path in found if not path.startswith("billing/ledger/")] == []
    assert found


def test_no_statement_rewrites_the_ledger() -> None:
    """The database refuses it; code that tries it would fail at night."""
    tried = [module.path for module in modules() if REWRITE.search(module.text)]
    assert [path for path in tried if not path.startswith("billing/migrations/")] == []


def test_states_move_in_few_places() -> None:
    """The table of moves protects nothing that is assigned past it."""
    product = [module for module in modules() if not module.is_in(("billing/sandbox/", "billing/local/"))]
    assert {module.path for module in product if assigns_state(module)} - set(MOVERS) == set()
    by_statement = {module.path for module in product if PURCHASE_STATE.search(module.text)}
    assert by_statement - set(SET_BASED_MOVERS) == set()


@pytest.mark.parametrize(
    "line",
    ["session.commit()", "connection.rollback()", "from sqlalchemy import create_engine", "sa.create_engine(url)"],
)
def test_the_rule_sees_a_commit(line: str) -> None:
    """A rule that cannot fail proves nothing."""
    assert ends_transactions(Module("billing/students.py", line))


@pytest.mark.parametrize("call", ["desk.gateway.create_intent(order)", "gateway.find(x)"])
def test_the_rule_sees_a_call_out(call: str) -> None:
    """A rule that cannot fail proves nothing."""
    inside = f"with desk.begin() as session:\n    x = {call}"
    assert calls_out_inside(Module("billing/students.py", inside)) == [2]
    assert calls_out_inside(Module("billing/students.py", f"with begin() as session:\n    pass\n{call}")) == []


@pytest.mark.parametrize("line", ["p.state = X", "a, p.state = 1, X", "p.state: S = X", "p.q.state = X"])
def test_the_rule_sees_an_assigned_state(line: str) -> None:
    """A rule that cannot fail proves nothing."""
    assert assigns_state(Module("billing/students.py", line))
    assert not assigns_state(Module("billing/students.py", "self.state = X\nstate = p.state"))


def test_the_rules_see_statements() -> None:
    """A rule that cannot fail proves nothing."""
    assert HOURS.search("insert into hour_lot (id)")
    assert REWRITE.search("DELETE\n FROM hour_entry")
    assert PURCHASE_STATE.search("UPDATE purchase AS p SET due_at = NULL, state = 'failed' WHERE")
    assert not PURCHASE_STATE.search("UPDATE purchase SET due_at = NULL WHERE true")
