"""Names, lengths and loose ends, so that a newcomer can take a page in."""

import ast
import io
import re
import tokenize

import pytest

from tests.rules.sources import Module, modules

MIGRATIONS = "billing/migrations/"
LONGEST_FUNCTION = 40
LONGEST_MODULE = 400
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc", "lib", "core"}
LOOSE_ENDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to its end; a literal that it returns at last is a table, not logic."""
    last = function.body[-1]
    table = last.value if isinstance(last, ast.Return) and isinstance(last.value, ast.Dict) else None
    end = function.end_lineno or function.lineno
    return end - function.lineno + 1 - (0 if table is None else (table.end_lineno or 0) - table.lineno)


def loose_ends(module: Module) -> list[str]:
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline)
        if token.type in (tokenize.COMMENT, tokenize.STRING)
    ]
    words = [comment for comment in comments if LOOSE_ENDS.search(comment)]
    names = [node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)]
    return words + [name for name in names if name == "NotImplementedError"]


def test_no_function_is_longer_than_a_page() -> None:
    """What does not fit on a screen is not read, only scrolled."""
    long = [
        f"{module.path}: {function.name} has {lines_of(function)} lines"
        for module in modules()
        if not module.path.startswith(MIGRATIONS)
        for function in module.functions()
        if lines_of(function) > LONGEST_FUNCTION
    ]
    assert long == []


def test_no_module_is_longer_than_a_chapter() -> None:
    """A noun that needs more is a folder."""
    lengths = {module.path: len(module.text.splitlines()) for module in modules() if MIGRATIONS not in module.path}
    assert {path: length for path, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_every_module_is_named_after_something() -> None:
    """A drawer named "utils" is filled by everybody and tidied by nobody."""
    words = {module.path: set(module.path.removesuffix(".py").split("/")) for module in modules()}
    assert {path for path, parts in words.items() if parts & EMPTY_NAMES} == set()


def test_every_module_says_what_it_is_for() -> None:
    """The first line is what a newcomer reads of most of them."""
    spoken = [module for module in modules() if module.text.strip() and not module.path.endswith("/__main__.py")]
    silent = [module.path for module in spoken if not ast.get_docstring(module.tree)]
    assert silent == []


def test_nothing_is_left_for_later() -> None:
    """What is not done is an issue with a date, not a comment; and no half of a class is shipped."""
    found = {module.path: loose_ends(module) for module in modules()}
    assert {path: ends for path, ends in found.items() if ends} == {}


@pytest.mark.parametrize("text", ["x = 1  # " + "TODO later", '"""FIX' + 'ME"""', "raise NotImplementedError"])
def test_the_rule_sees_a_loose_end(text: str) -> None:
    """A rule that cannot fail proves nothing."""
    assert loose_ends(Module("billing/students.py", text))


def test_the_rule_counts_lines() -> None:
    """A rule that cannot fail proves nothing."""
    logic = "def f():\n" + "    x = 1\n" * 41
    table = "def f():\n    return {\n" + "        1: 2,\n" * 60 + "    }\n"
    assert [lines_of(function) for function in Module("a.py", logic).functions()] == [42]
    assert [lines_of(function) for function in Module("a.py", table).functions()] == [2]
