"""SQL that is written by hand stands at listed places, each with its reason, and is never put together from text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.code import called_name, modules

SITES = {
    "dashboard/queries/system.py": "what the server says of itself",
    "ollamamax/audit/actions.py": "an advisory lock for the next record of a chain",
    "ollamamax/audit/removal.py": "the owner's function that drops a chain",
    "ollamamax/audit/retention.py": "partitions, by the owner's functions",
    "ollamamax/audit/segments.py": "records as they lie there, read by processes that know no Django",
    "ollamamax/audit/verify.py": "a snapshot that only reads",
    "ollamamax/backup/restore.py": "whether there is a connection",
    "ollamamax/backup/tables.py": "whole tables by COPY, and what guards them",
    "ollamamax/backup/take.py": "the snapshot's time, and which blobs it tells of",
    "ollamamax/batches/actions/bounded.py": "a time-out of this transaction alone",
    "ollamamax/bus/leases.py": "an advisory lock that keeps a new leader from beginning amid a former one's transaction",
    "ollamamax/doctor/failover.py": "whether a server is the primary, and who follows it",
    "ollamamax/doctor/stores.py": "what the server says of its own settings",
    "ollamamax/health.py": "whether the server answers",
    "ollamamax/identity/actions/key_use.py": "many rows, each with its own time, in one statement",
    "ollamamax/identity/actions/signing_key.py": "an advisory lock, so that two make no two keys",
    "ollamamax/identity/bounds.py": "an advisory lock on a number of rows",
    "ollamamax/identity/database/base.py": "in whose scope the next statement is",
    "ollamamax/identity/database/primary.py": "in which timeline the server writes",
    "ollamamax/identity/wall.py": "policies, of which Django knows nothing",
    "ollamamax/identity/changes.py": "an advisory lock over several transactions",
    "ollamamax/metering/actions/usage.py": "inserts that say which rows were there already",
    "ollamamax/processes/management/commands/drill.py": "a database for a drill",
    "ollamamax/processes/database_users.py": "users and rights, of which Django knows nothing",
    "models_registry/actions/lock.py": "an advisory lock on a name",
}
"""Beside the migrations."""

COMPOSED = {
    "ollamamax/audit/segments.py",
    "ollamamax/backup/tables.py",
    "ollamamax/processes/database_users.py",
    "ollamamax/processes/management/commands/drill.py",
}
"""Where names of tables and users are put into statements, by psycopg's own composition."""

RUNS_SQL = {"execute", "executemany", "raw", "extra", "RawSQL", "RunSQL", "SQL"}
A_STATEMENT = re.compile(
    r"\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|(CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE|SET)\s+[A-Z]{3,}\s)",
    re.DOTALL,
)


def literals(tree: ast.Module) -> dict[str, list[ast.expr | None]]:
    """What is assigned to each name anywhere in a module."""
    found: dict[str, list[ast.expr | None]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, []).append(None if isinstance(node, ast.AugAssign) else node.value)
    return found


def is_literal(node: ast.expr | None, known: dict[str, list[ast.expr | None]]) -> bool:
    """Whether this is one text, as it was written, or one of a few."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.IfExp):
        return is_literal(node.body, known) and is_literal(node.orelse, known)
    return isinstance(node, ast.Name) and bool(known.get(node.id)) and all(
        isinstance(each, ast.Constant) and isinstance(each.value, str) for each in known[node.id]
    )  # fmt: skip


def statements(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls that are given a statement. A Redis pipeline's `execute` is given none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called_name(node) in RUNS_SQL and node.args:
            yield node


def faults(path: str, tree: ast.Module) -> list[str]:
    """What of a module's SQL stands at no listed place, or is not one written text."""
    found = []
    known = literals(tree)
    migration = "/migrations/" in path
    for call in statements(tree):
        if not migration and path not in SITES:
            found.append(f"{path}:{call.lineno}: SQL at a place that SITES does not list")
        composed = path in COMPOSED and called_name(call) == "execute"
        given = call.args[:2] if called_name(call) == "RunSQL" else call.args[:1]
        for text in given:
            noop = isinstance(text, ast.Attribute) and text.attr == "noop"
            if not (composed or noop or is_literal(text, known)):
                found.append(f"{path}:{call.lineno}: SQL that is not one literal text")
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr):
            parts = node.values[:1]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
            parts = [node.left]
        elif isinstance(node, ast.Call) and called_name(node) == "format" and isinstance(node.func, ast.Attribute):
            parts = [node.func.value]
        texts = [part for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        put_together = [text for text in texts if A_STATEMENT.match(str(text.value))]
        found += [f"{path}:{text.lineno}: SQL put together from text" for text in put_together]
    return found


def test_sql_is_written_at_listed_places_and_never_put_together() -> None:
    assert [fault for path, tree in modules() for fault in faults(path.as_posix(), tree)] == []


def test_every_listed_place_still_writes_sql() -> None:
    written = {path.as_posix() for path, tree in modules() for _ in statements(tree)}
    assert set(SITES) <= written


@pytest.mark.parametrize(
    "code",
    [
        'cursor.execute(f"SELECT a FROM {table}")',
        'cursor.execute("SELECT a FROM t WHERE b = %s" % b)',
        'cursor.execute("SELECT a FROM t WHERE b = " + b)',
        'cursor.execute("SELECT a FROM {}".format(table))',
        "cursor.execute(statement)",
        'text = "SELECT 1"\ntext += more\ncursor.execute(text)',
        "Model.objects.raw(text)",
        'text = f"DELETE FROM {table}"',
        'migrations.RunSQL("SELECT 1", reverse())',
        'sql.SQL(text).format(sql.Identifier("t"))',
    ],
)
def test_what_is_put_together_is_found(code: str) -> None:
    for path in ("ollamamax/health.py", "ollamamax/processes/database_users.py", "cluster/migrations/0001_x.py"):
        if path not in COMPOSED or "execute" not in code:
            assert faults(path, ast.parse(code)), path


def test_sql_elsewhere_is_found() -> None:
    [fault] = faults("dashboard/queries/live.py", ast.parse('cursor.execute("SELECT 1")'))
    assert "SITES" in fault


def test_what_is_one_text_is_taken() -> None:
    code = '_ONE = "SELECT 1"\ncursor.execute(_ONE)\npipe.execute()\nmigrations.RunSQL(_ONE, migrations.RunSQL.noop)'
    assert faults(Path("ollamamax/health.py").as_posix(), ast.parse(code)) == []
