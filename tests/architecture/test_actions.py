"""Every action with `acting` writes exactly one audit record, in the transaction of its change."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.code import called_name, functions, modules

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_action_module(path: Path) -> bool:
    return "actions" in path.parts or path.name == "actions.py"


def takes_acting(function: Function) -> bool:
    return any(a.arg == "acting" for a in (*function.args.args, *function.args.kwonlyargs))


def acts() -> list[tuple[str, Function]]:
    """Public functions of action modules that take `acting`; the audit trail's own writer apart."""
    return [
        (f"{path}:{function.name}", function)
        for path, tree in modules()
        if is_action_module(path) and path.parts[:2] != ("ollamamax", "audit")
        for function in functions(tree)
        if takes_acting(function) and not function.name.startswith("_")
    ]


ACTS = acts()


def calls(node: ast.AST) -> list[ast.Call]:
    return [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]


def records(node: ast.AST) -> list[ast.Call]:
    return [call for call in calls(node) if called_name(call) == "record"]


def test_there_are_actions() -> None:
    assert len(ACTS) > 8


@pytest.mark.parametrize(("name", "function"), ACTS, ids=[name for name, _ in ACTS])
def test_an_action_records_once_or_is_made_of_actions(name: str, function: Function) -> None:
    others = {action.name for _, action in ACTS} - {function.name}
    written = records(function)
    if not written:
        made_of = [c for c in calls(function) if called_name(c) in others]
        assert made_of, f"{name} leaves no audit record"
        return
    assert len(written) == 1, f"{name} writes more than one audit record"


@pytest.mark.parametrize(("name", "function"), ACTS, ids=[name for name, _ in ACTS])
def test_a_record_stands_in_the_actions_own_transaction(name: str, function: Function) -> None:
    blocks = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.With) and any("atomic(durable=True)" in ast.unparse(i) for i in node.items)
    ]
    assert len(records(function)) == sum(len(records(block)) for block in blocks), name


@pytest.mark.parametrize(("name", "function"), ACTS, ids=[name for name, _ in ACTS])
def test_an_action_takes_keywords_only_and_says_what_types(name: str, function: Function) -> None:
    assert not function.args.args, f"{name} takes positional arguments"
    assert function.returns is not None
    assert all(a.annotation is not None for a in function.args.kwonlyargs)


def test_nothing_but_actions_writes_the_audit_trail() -> None:
    for path, tree in modules():
        if not is_action_module(path) and path.parts[:2] != ("ollamamax", "audit"):
            imported = {
                f"{node.module}.{alias.name}"
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
            assert "ollamamax.audit.actions.record" not in imported, path
            assert "ollamamax.audit.actions" not in imported, path


DOORS = {"api", "protocol", "consumers", "tasks"}


def test_doors_and_serializers_never_query_by_themselves() -> None:
    for path, tree in modules():
        if DOORS & {*path.parts[:-1], path.stem}:
            used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "objects"]
            assert not used, f"{path}:{used[0].lineno} writes .objects"
