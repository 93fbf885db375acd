"""Prompts, answers and what judges said lie in the secret box, and so does what was kept before it was sealed."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.migrations import RunPython
from django.db.migrations.loader import MigrationLoader
from pytest_django import Settings

from models_registry.models import Release
from ollamamax.evaluations.models import Evaluation, EvaluationResult, EvaluationSuite
from ollamamax.identity.scope import tenant_scope
from ollamamax.secret_box import SecretBox, derived_key
from tests.cast import Person, logged_in
from tests.evaluations.test_api_evaluations import SUITES, completed, made, releases

__all__ = ["releases"]
pytestmark = pytest.mark.django_db
WORD = "giraffe"


def evaluated(owner: Person, release: Release) -> tuple[dict[str, Any], Evaluation]:
    """With one result, all of whose texts have the word."""
    suite = made(logged_in(owner), text=WORD)
    evaluation = completed(owner, release, suite, 0, 1)
    with tenant_scope(owner.tenant):
        result = EvaluationResult(tenant=owner.tenant, evaluation=evaluation, number=0, name="x", passed=False)
        result.put_outcome(f"a {WORD}", [{"kind": "judge", "passed": False, "detail": f"no {WORD}", "value": 1.0}])
        result.save()
    return suite, evaluation


def kept() -> bytes:
    """All that the context's tables hold of texts, and what lies in the columns of bytes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s::text, sealed_cases FROM evaluations_evaluationsuite s UNION ALL "
            "SELECT e::text, sealed_cases FROM evaluations_evaluation e UNION ALL "
            "SELECT r::text, sealed_outcome FROM evaluations_evaluationresult r"
        )
        rows = [text.encode() + bytes(sealed) for text, sealed in cursor.fetchall()]
    assert len(rows) == 3
    return b"".join(rows)


def test_contents_are_sealed_for_their_row_and_say_so_when_no_key_opens_them(
    owner: Person, releases: tuple[Release, Release], settings: Settings
) -> None:
    suite, evaluation = evaluated(owner, releases[1])
    assert WORD.encode() not in kept()
    api, results = logged_in(owner), f"/api/v1/evaluations/{evaluation.pk}/results"
    [shown] = api.get(results).json()["results"]
    kinds = [api.get(f"{results}?passed={each}").json()["results"] for each in ("false", "true")]
    assert kinds == [[shown], []]
    assert (shown["answer"], shown["checks"][0]["detail"]) == (f"a {WORD}", f"no {WORD}")
    settings.SECRET_BOX = SecretBox([derived_key("another")])
    for address in (results, f"{SUITES}/{suite['id']}"):
        lost = api.get(address)
        assert (lost.status_code, "cannot be read any more" in lost.json()["detail"]) == (409, True)
    # What is no content is told still.
    assert api.get(f"/api/v1/evaluations/{evaluation.pk}").json()["score"] == 0
    assert [each["cases_count"] for each in api.get(SUITES).json()["results"]] == [1]


def test_what_was_kept_before_is_sealed_by_the_migration(owner: Person, releases: tuple[Release, Release]) -> None:
    suite, evaluation = evaluated(owner, releases[1])
    loader = MigrationLoader(connection)
    migration = loader.disk_migrations["evaluations", "0002_sealed"]
    at = next(n for n, each in enumerate(migration.operations) if isinstance(each, RunPython))
    state = loader.project_state(("evaluations", "0001_evaluations"))
    for each in migration.operations[:at]:
        each.state_forwards("evaluations", state)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE evaluations_evaluationsuite ADD cases jsonb")
        cursor.execute("ALTER TABLE evaluations_evaluation ADD cases jsonb")
        cursor.execute("ALTER TABLE evaluations_evaluationresult ADD checks jsonb, ADD answer text")
        old = ['[{"name": "of before"}]']
        cursor.execute("UPDATE evaluations_evaluationsuite SET cases = %s, sealed_cases = '', cases_count = 0", old)
        cursor.execute("UPDATE evaluations_evaluation SET cases = %s, sealed_cases = ''", old)
        cursor.execute(
            "UPDATE evaluations_evaluationresult SET checks = '[]', answer = %s, sealed_outcome = ''", [WORD]
        )
    sealing = migration.operations[at]
    assert isinstance(sealing, RunPython)
    sealing.code(state.apps, connection.schema_editor())
    with tenant_scope(owner.tenant):
        found = EvaluationSuite.objects.get(pk=suite["id"])
        assert (found.cases, found.cases_count) == ([{"name": "of before"}], 1)
        assert Evaluation.objects.get(pk=evaluation.pk).cases == [{"name": "of before"}]
        result = EvaluationResult.objects.get()
        assert (result.answer, result.checks) == (WORD, [])
