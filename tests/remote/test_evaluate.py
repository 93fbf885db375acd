"""A version evaluated from the command line, by the real llama.cpp of a real node, and promoted for what it reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from models_registry.actions.version import publish_gguf
from ollamamax.evaluations.actions.requirement import require_suite
from ollamamax.evaluations.models import EvaluationResult, EvaluationSuite
from ollamamax.identity.scope import tenant_scope
from tests import smollm
from tests.cast import Person
from tests.management.conftest import Controller
from tests.remote.conftest import CommandLine
from tests.worker.node import Node

pytestmark = pytest.mark.django_db(transaction=True)
TOWN = {"role": "user", "content": "What is the capital of France? Answer in one word."}


@pytest.fixture
def evaluating(redis_url: str) -> Iterator[None]:
    """``ollamamax batches``, as it is started anywhere."""
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "ollamamax.cli", "batches"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "ollamamax.settings",
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "OLLAMAMAX_HOME": str(settings.HOME),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield
    process.terminate()
    process.wait(60)


def test_a_version_is_evaluated_on_a_real_engine_and_promoted_for_it(
    owners: CommandLine, owner: Person, controller: Controller, node: Node, evaluating: None, tmp_path: Path
) -> None:
    published = publish_gguf(acting=owner.acting, file=smollm.path(), name="smollm2:135m")
    cases = tmp_path / "cases.json"
    person = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    asked = [
        {
            "name": "capital",
            "messages": [TOWN],
            "max_tokens": 24,
            "checks": [
                {"kind": "regex", "pattern": "Paris"},
                {"kind": "regex", "pattern": "(?i)berlin", "absent": True},
            ],
        },
        {
            "name": "person",
            "messages": [{"role": "user", "content": "Give me a person as JSON."}],
            "format": person,
            "max_tokens": 64,
            "checks": [{"kind": "json_schema", "schema": person}],
        },
        {
            "name": "impossible",
            "messages": [TOWN],
            "max_tokens": 8,
            "checks": [{"kind": "exact", "expected": "Berlin"}],
        },
    ]
    cases.write_text(json.dumps(asked))
    # One case is made to fail: the pipeline is told which, and why.
    status, code = owners.failed("evaluate", "smollm2:135m", "town", "--cases", str(cases))
    assert (status, code) == (3, "score_too_low")
    with tenant_scope(owner.tenant):
        suite = EvaluationSuite.objects.get()
        results = list(EvaluationResult.objects.order_by("number"))
    assert [each.passed for each in results] == [True, True, False], [(each.answer, each.checks) for each in results]
    # What was measured is of the engine: it answered in time, with as many tokens as it was let.
    for each in results:
        assert each.first_token_ms is not None
        assert each.tokens_per_second is not None
        assert 0 < each.first_token_ms < (each.duration_ms or 0)
        assert each.tokens_per_second > 0
        assert 0 < (each.completion_tokens or 0) <= 64
        assert each.node == "node0"
    # Asked the same at temperature 0, it passes the same.
    again = owners.done("evaluate", "smollm2:135m", "town", "--least", "0.6")
    assert again["score"] == pytest.approx(2 / 3)
    assert again["first_token_ms"]["count"] == 3
    with tenant_scope(owner.tenant):
        repeated = list(EvaluationResult.objects.filter(evaluation=again["id"]).order_by("number"))
    assert [each.passed for each in repeated] == [True, True, False]
    # Promotion asks for what was required, and takes what was reached.
    need = require_suite(acting=owner.acting, suite_id=suite.pk, least_score=0.9)
    version = f"smollm2@{published.digest}"
    assert owners.failed("promote", version) == (1, "conflict")
    with tenant_scope(owner.tenant):
        need.least_score = 0.6
        need.save()
    assert owners.done("promote", version)["stage"] == "production"
    assert owners.failed("evaluate", version, "nothing") == (1, "not_found")
