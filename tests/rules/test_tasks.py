"""Tasks hold no rules, and nothing waits in a worker's memory."""

import ast

import pytest

from billing.messages import MESSAGES
from tests.rules.sources import Module, modules

TASKS = "workers/tasks.py"
DECISIONS = (ast.If, ast.IfExp, ast.Try, ast.For, ast.While, ast.With, ast.Match, ast.BoolOp, ast.comprehension)
WAITS = {"countdown", "eta", "retry_backoff", "autoretry_for", "max_retries"}


def tasks(among: list[Module]) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [function for module in among if module.path == TASKS for function in module.functions()]


def is_thin(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """One statement after an optional docstring, and no decision in it."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    decides = any(isinstance(node, DECISIONS) for statement in body for node in ast.walk(statement))
    return len(body) == 1 and isinstance(body[0], ast.Return | ast.Expr) and not decides


def waits(module: Module) -> set[str]:
    """Countdowns, ETAs and retries of Celery: what would wait where a kill loses it."""
    words = {keyword.arg for call in ast.walk(module.tree) if isinstance(call, ast.Call) for keyword in call.keywords}
    return {word for word in words if word in WAITS} | (module.attributes() & {".retry", ".apply_async"})


def test_a_task_is_one_statement() -> None:
    """What a task does is a use case that runs, and is tested, without a queue."""
    assert [function.name for function in tasks([*modules()]) if not is_thin(function)] == []


def test_each_message_has_its_task_and_each_task_its_message() -> None:
    """A message without a task would be published into nothing."""
    names = [
        decorator.args[0].id
        for function in tasks([*modules()])
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.args[0], ast.Name)
    ]
    assert sorted(names) == sorted(message.__name__ for message in MESSAGES)


def test_nothing_waits_in_a_worker() -> None:
    """A countdown sits in memory: a killed worker loses it, and past the visibility timeout it doubles."""
    found = {module.path: waits(module) for module in modules() if module.is_in(("workers/", "web/"))}
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "body", ["return x if y else z", "a = 1; return a", "\n    if x:\n        return 1", "return x and y", "pass"]
)
def test_the_rule_sees_a_task_that_decides(body: str) -> None:
    """A rule that cannot fail proves nothing."""
    (function,) = tasks([Module(TASKS, f"def task(): {body}")])
    assert not is_thin(function)


@pytest.mark.parametrize("line", ["send(x, countdown=5)", "send(x, eta=at)", "self.retry()", "task.apply_async()"])
def test_the_rule_sees_a_wait(line: str) -> None:
    """A rule that cannot fail proves nothing."""
    assert waits(Module("workers/hints.py", line))
