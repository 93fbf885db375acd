"""What a check says of an answer, and what of a suite cannot be run and is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from ollamamax.evaluations import checking, judging
from ollamamax.evaluations.api.serializers import SuiteCreateSerializer
from ollamamax.evaluations.cases import CHECKS, EvaluationCheck, checked, digest_of
from ollamamax.evaluations.checking import CheckImpossible
from ollamamax.evaluations.scoring import MeasuredCase, speed_of
from ollamamax.kernel.errors import InvalidRequest
from tests.architecture.code import ROOT
from tests.evaluations.conftest import exact, says

PERSON = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def check(kind: Any, **more: Any) -> EvaluationCheck:
    return EvaluationCheck(kind=kind, **more)


def test_text_checks_look_at_the_whole_answer() -> None:
    assert checking.exact(check("exact", expected="Yes"), " Yes\n").passed
    assert not checking.exact(check("exact", expected="Yes"), "yes").passed
    assert checking.exact(check("exact", expected="STRASSE", ignore_case=True), "straße").passed
    assert checking.regex(check("regex", pattern=r"\b4\d\b"), "it is 42.").passed
    assert not checking.regex(check("regex", pattern="sorry", absent=True), "I am sorry").passed


def test_a_pattern_that_would_run_for_ever_elsewhere_is_over_at_once() -> None:
    # With a backtracking matcher this takes longer than the universe has existed.
    assert not checking.regex(check("regex", pattern="^(a+)+$"), "a" * 20_000 + "!").passed


@pytest.mark.parametrize(
    ("answer", "passed", "why"),
    [
        ('{"age": 7}', True, ""),
        ('{"age": "7"}', False, "$.age"),
        ("I am 7", False, "no JSON"),
        ('{"age": NaN}', False, "NaN"),
        ("[" * 100_000, False, "no JSON"),
    ],
    ids=["fits", "wrong type", "text", "not a number", "deep"],
)
async def test_an_answer_is_checked_against_a_json_schema(answer: str, passed: bool, why: str) -> None:
    outcome = await checking.json_schema(check("json_schema", schema=PERSON), answer)
    assert outcome.passed is passed
    assert why in outcome.detail


def doubling(depth: int) -> dict[str, Any]:
    """Each definition refers to the next twice: checked one by one, that is two to the power of ``depth`` steps."""
    twice = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    return {"$defs": {**twice, f"d{depth}": {"type": "object"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (doubling(40), "too long"),
        ({"$ref": "http://127.0.0.1:1/elsewhere.json"}, "leads nowhere"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "without an end"),
        ({"type": "object", "propertyNames": {"pattern": "^(a+)+$"}}, "too long"),
    ],
    ids=["doubles", "elsewhere", "itself", "backtracks"],
)
async def test_a_schema_that_cannot_be_checked_says_nothing_of_the_answer(schema: dict[str, Any], why: str) -> None:
    [case] = checked([says("x", {"kind": "json_schema", "schema": schema})])
    with pytest.raises(CheckImpossible, match=why):
        await checking.json_schema(case.checks[0], '{"' + "a" * 60 + '!": 1}')


def test_distances_are_of_directions() -> None:
    assert checking.cosine_distance([1, 0], [5, 0]) == 0
    assert checking.cosine_distance([1, 0], [0, 3]) == 1
    assert checking.cosine_distance([1, 0], [-2, 0]) == 2
    outcome = checking.distance(check("distance", expected="x", model="m", most=0.5), [1, 1], [1, 0])
    assert outcome.passed
    assert outcome.value == pytest.approx(1 - math.sqrt(0.5))
    for bad in ([0.0, 0.0], [math.nan, 1.0], [1.0]):
        with pytest.raises(CheckImpossible):
            checking.cosine_distance([1.0, 0.0], bad)


def test_a_judge_that_gives_no_verdict_says_nothing_of_the_answer() -> None:
    judge = check("judge", model="judge", criteria="polite", least=7)
    assert judging.outcome(judge, '{"reason": "kind", "grade": 7}').passed
    assert not judging.outcome(judge, '{"reason": "rude", "grade": 6}').passed
    for said in ("", "ten of ten", '{"grade": 11}', '{"reason": "no grade"}'):
        with pytest.raises(CheckImpossible, match="judge"):
            judging.outcome(judge, said)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (says("x"), "1 to 10 checks"),
        (says("x", *[exact("x")] * 11), "1 to 10 checks"),
        (says("x", {"kind": "regex", "pattern": "(a"}), "no regular expression"),
        (says("x", {"kind": "regex", "pattern": r"(a)\1"}), "no regular expression"),
        (says("x", {"kind": "regex", "pattern": "((a{1000}){1000}){1000}"}), "no regular expression"),
        (says("x", {"kind": "json_schema", "schema": {"type": "thing"}}), "JSON schema"),
        (says("x", {"kind": "json_schema"}), "schema"),
        (says("x", {"kind": "judge", "criteria": "y"}), "model"),
        (says("x", {"kind": "distance", "expected": "y"}), "model"),
        (says("x", exact("y"), kind="embed"), "embeds"),
        ({"name": "e", "kind": "embed", "text": "x", "checks": [exact("x")]}, "distance"),
        (says("x", exact("nul\0l")), "null character"),
        (says("x", {"kind": "feeling"}), "no cases"),
        ({"checks": []}, "no cases"),
        (says("x", exact("y"), temperature=3), "temperature"),
        (says("x", exact("y"), name="n" * 101), "name"),
        (says("x" * 32_001, exact("y")), "32000"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_run_is_refused(case: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        checked([case])


def test_the_suite_of_the_documents_can_be_run() -> None:
    page = (ROOT / "docs/evaluations.md").read_text()
    given = json.loads(page.split("```json\n")[1].split("```")[0])
    form = SuiteCreateSerializer(data=given)
    assert form.is_valid(), form.errors
    assert {check.kind for case in checked(form.validated_data["cases"]) for check in case.checks} == set(CHECKS)


def test_a_schema_that_many_cases_have_is_read_once_and_all_together_are_bounded() -> None:
    schema = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(90)}}
    checked([says(f"{number}", {"kind": "json_schema", "schema": schema}) for number in range(200)])
    with pytest.raises(InvalidRequest, match="parts together"):
        checked(
            [
                says(f"{number}", {"kind": "json_schema", "schema": schema | {"title": f"{number}"}})
                for number in range(60)
            ]
        )


def test_a_suite_is_bounded_as_a_whole() -> None:
    for cases in ([], [says(f"{n}", exact("x")) for n in range(201)], [says("x", exact("x"))] * 2):
        with pytest.raises(InvalidRequest):
            checked(cases)
    with pytest.raises(InvalidRequest, match="bytes together"):
        checked([says(f"{n} " + "x" * 30_000, exact("x")) for n in range(18)])


def test_the_digest_is_of_what_is_asked_and_not_of_how_it_was_written() -> None:
    case = says("x", exact("x"))
    spelled = dict(reversed(list(case.items()))) | {"temperature": 0.0, "kind": "chat"}
    assert digest_of(checked([case])) == digest_of(checked([spelled]))
    assert digest_of(checked([case])) != digest_of(checked([case | {"seed": 1}]))


def test_speed_without_a_measurement_is_no_number() -> None:
    found = speed_of([MeasuredCase(None, 10.0), MeasuredCase(None, 30.0), MeasuredCase(None, 20.0)])
    assert found["first_token_ms"] is None
    assert found["tokens_per_second"] == {"median": 20.0, "least": 10.0, "most": 30.0, "count": 3}
