"""Migrations since the last release expand: programs of that release, which run beside them until they are replaced, can go on.

A column is dropped, renamed, narrowed or made required in the release after the one whose programs stopped using it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django_migration_linter.sql_analyser.analyser import analyse_sql_statements
from django_migration_linter.sql_analyser.postgresql import PostgresqlAnalyser

RELEASES = settings.BASE_DIR / ".ci" / "releases"
LAST = list(json.loads((RELEASES / "commits.json").read_text()))[-1]
RELEASED = frozenset((RELEASES / f"migrations-{LAST}.txt").read_text().split())
SINCE = sorted(
    str(file.relative_to(settings.BASE_DIR))
    for folder in ("cluster", "models_registry", "dashboard", "ollamamax")
    for file in (settings.BASE_DIR / folder).rglob("migrations/0*.py")
    if str(file.relative_to(settings.BASE_DIR)) not in RELEASED
)
BORNE = {
    "ollamamax/audit/migrations/0003_partitions.py": "the table before is taken over whole: each column an older program writes and reads is there, "
    "with its rights, and what is new has defaults; tests/audit/test_partitions.py has it go on",
    "ollamamax/audit/migrations/0005_outcome_index.py": "begins empty after one reading of the trail: what the release before wrote has no outcome but ok",
    "ollamamax/evaluations/migrations/0002_sealed.py": "the tables are younger than the release before, whose programs know none of them",
    "models_registry/migrations/0013_scrubbing.py": "an index over blobs, of which there are few: made in milliseconds",
}
"""Migrations that the programs of the last release bear though the linter cannot see it, each with the reason."""

pytestmark = pytest.mark.django_db


def issues(migration: migrations.Migration, state: migrations.state.ProjectState) -> list[str]:
    """What would break an older program, or hold a table for long: warnings of the linter count as its errors do."""
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        migration.apply(state, editor, collect_sql=True)
        statements = editor.collected_sql
    errors, _, warnings = analyse_sql_statements(PostgresqlAnalyser, statements)
    return [issue.message for issue in (*errors, *warnings)]


def test_what_the_last_release_had_is_still_there() -> None:
    """A migration that an installation may have run is never renamed or removed."""
    assert [name for name in sorted(RELEASED) if not (settings.BASE_DIR / name).exists()] == []


@pytest.mark.parametrize("name", SINCE)
def test_a_migration_since_the_last_release_lets_its_programs_go_on(name: str) -> None:
    loader = MigrationLoader(connection)
    folder, _, file = name.partition("/migrations/")
    migration = loader.disk_migrations[folder.rpartition("/")[2], file.removesuffix(".py")]
    before = loader.project_state((migration.app_label, migration.name), at_end=False)
    found = issues(migration, before)
    assert bool(found) == (name in BORNE), f"expand now, contract a release later: {found}"


def test_the_reasons_are_of_migrations_that_are_there() -> None:
    assert set(BORNE) <= set(SINCE)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("tenant", "name"),
        migrations.RenameField("tenant", "name", "title"),
        migrations.AlterField("tenant", "name", models.IntegerField()),
        migrations.AddField("tenant", "needed", models.TextField(default="")),
        migrations.RenameModel("tenant", "company"),
        migrations.DeleteModel("tenant"),
        migrations.AddIndex("tenant", models.Index(fields=["name"], name="held_for_long")),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_what_would_stop_them_is_seen(operation: migrations.operations.base.Operation) -> None:
    state = migrations.state.ProjectState()
    fields: dict[str, models.Field[Any, Any]] = {
        "id": models.BigAutoField(primary_key=True),
        "name": models.TextField(),
    }
    state.add_model(migrations.state.ModelState("planted", "tenant", fields))
    planted = type("Migration", (migrations.Migration,), {"operations": [operation]})
    assert issues(planted("0002_planted", "planted"), state) != []
