"""Suites, requirements and results by the API: whose they are, what is refused, and what promotion makes of them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from models_registry.actions.promotion import approve_promotion, set_approvals
from models_registry.actions.release import change_stage
from models_registry.actions.version import register_external
from models_registry.models import Channel, Promotion, Release
from ollamamax.audit.models import AuditRecord
from ollamamax.env import Environment
from ollamamax.evaluations.actions.evaluation import start_evaluation
from ollamamax.evaluations.models import Evaluation, EvaluationResult
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict
from tests.cast import Key, Person, logged_in, make_key, make_person, with_key
from tests.evaluations.conftest import exact, says

pytestmark = pytest.mark.django_db
SUITES, NEEDS = "/api/v1/evaluation-suites", "/api/v1/evaluation-requirements"


@pytest.fixture
def releases(owner: Person) -> tuple[Release, Release]:
    """Two versions of ``m``, the second at its channel."""
    for digit in "12":
        digest = f"sha256:{digit * 64}"
        register_external(acting=owner.acting, name="m:1", digest=digest, engine="ollama", size=1, move=digit == "2")
    with tenant_scope(owner.tenant):
        first, second = Release.objects.select_related("model", "version").order_by("id")
    return first, second


def made(api: APIClient, name: str = "s", text: str = "x") -> dict[str, Any]:
    response = api.post(SUITES, {"name": name, "cases": [says(text, exact(text))]}, format="json")
    assert response.status_code == 201, response.content
    return dict(response.json())


def completed(owner: Person, release: Release, suite: dict[str, Any], passed: int, total: int = 10) -> Evaluation:
    """As a runner would have left it."""
    now = timezone.now()
    with tenant_scope(owner.tenant):
        made = Evaluation(
            tenant=owner.tenant, release=release, suite_id=suite["id"], suite_name=suite["name"],
            suite_digest=suite["digest"], key=make_key(owner).row, state="completed", done=total, passed=passed,
            score=passed / total, by_kind="user", by_id="x", by_name="x", expires_at=now, ended_at=now,
            speed={"first_token_ms": None, "tokens_per_second": None},
        )  # fmt: skip
        made.put_cases(suite["cases"])
        made.total = total
        made.save()
    return made


def test_a_suite_is_made_read_changed_and_deleted(owner: Person) -> None:
    api = logged_in(owner)
    suite = made(api)
    assert api.post(SUITES, {"name": "s", "cases": suite["cases"]}, format="json").status_code == 409
    assert [each["name"] for each in api.get(SUITES).json()["results"]] == ["s"]
    address = f"{SUITES}/{suite['id']}"
    shown = api.get(address)
    assert shown.json() == suite
    # What is shown can be given back, and is the same then.
    same = api.patch(address, {"cases": suite["cases"]}, format="json")
    assert same.json() == suite
    stale = shown["ETag"]
    changed = api.patch(address, {"cases": [says("y", exact("z"))]}, format="json", headers={"If-Match": stale})
    assert changed.status_code == 200
    assert changed.json()["digest"] != suite["digest"]
    assert api.patch(address, {"name": "t"}, format="json", headers={"If-Match": stale}).status_code == 412
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404
    with tenant_scope(owner.tenant):
        actions = [*AuditRecord.objects.filter(action__startswith="suite.").order_by("seq")]
    assert [each.action for each in actions] == ["suite.create", "suite.change", "suite.delete"]


@pytest.mark.parametrize(
    "cases",
    [
        [],
        "x",
        [says("x", {"kind": "regex", "pattern": "(a"})],
        [says("x", {"kind": "regex", "pattern": "a", "colour": "red"})],
        [says("x", exact("x"))] * 2,
        [says("x", exact("x"), name="nul\0l")],
        [says("x", {"kind": "json_schema", "schema": {"const": "nul\0l"}})],
        [says("x", {"kind": "json_schema", "schema": {"enum": list(range(3000))}})],
    ],
    ids=["none", "no list", "pattern", "unknown field", "twice", "null", "null in a schema", "huge schema"],
)
def test_cases_that_cannot_be_run_are_refused(owner: Person, cases: Any) -> None:
    refused = logged_in(owner).post(SUITES, {"name": "s", "cases": cases}, format="json")
    assert refused.status_code == 400, refused.content


def test_ordering_names_a_key_and_needs_a_version_that_nodes_have(
    owner: Person, owner_key: Key, releases: tuple[Release, Release], settings: Settings
) -> None:
    first, second = releases
    suite = made(logged_in(owner))
    body = {"suite": suite["id"]}

    def order(api: APIClient, release: Release, **more: Any) -> Any:
        return api.post(f"/api/v1/versions/{release.pk}/evaluations", body | more, format="json")

    assert order(logged_in(owner), second).json()["param"] == "key"
    unstaged = order(with_key(owner_key.text), first)
    assert (unstaged.status_code, "stage it first" in unstaged.json()["detail"]) == (409, True)
    ordered = order(with_key(owner_key.text), second)
    assert ordered.status_code == 201, ordered.content
    assert (ordered.json()["state"], ordered.json()["total"], ordered.json()["score"]) == ("waiting", 1, None)
    assert order(with_key(owner_key.text), second).status_code == 409
    listed = logged_in(owner).get(f"/api/v1/versions/{second.pk}/evaluations", {"state": "waiting"}).json()["results"]
    assert [each["id"] for each in listed] == [ordered.json()["id"]]
    # What is ordered is the suite as it was, whatever becomes of that.
    assert logged_in(owner).delete(f"{SUITES}/{suite['id']}").status_code == 204
    shown = logged_in(owner).get(f"/api/v1/evaluations/{ordered.json()['id']}").json()
    assert (shown["suite"], shown["suite_name"], shown["suite_changed"]) == (None, "s", True)
    for _ in range(2):
        assert logged_in(owner).post(f"/api/v1/evaluations/{shown['id']}/cancel").json()["state"] == "cancelled"


def test_of_one_version_and_suite_so_many_ended_ones_are_kept(
    owner: Person, releases: tuple[Release, Release], settings: Settings
) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_EVALUATIONS_KEPT": 2})
    suite = made(logged_in(owner))
    old = [completed(owner, releases[1], suite, passed).pk for passed in (1, 2, 3)]
    start_evaluation(acting=owner.acting, release_id=releases[1].pk, suite=suite["id"], key=make_key(owner).row.pk)
    with tenant_scope(owner.tenant):
        assert set(Evaluation.objects.filter(state="completed").values_list("pk", flat=True)) == {old[2]}


def promoted(owner: Person, release: Release) -> str:
    """What is said when it is promoted; nothing when it may be."""
    try:
        change_stage(acting=owner.acting, release_id=release.pk, stage="production")
    except Conflict as refused:
        return refused.message
    return ""


def test_of_one_version_so_many_are_kept_whose_suites_were_deleted(
    owner: Person, releases: tuple[Release, Release], settings: Settings
) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_EVALUATIONS_KEPT": 2})
    api, found = logged_in(owner), []
    for _ in range(4):
        suite = made(api)
        found.append(completed(owner, releases[1], suite, 1).pk)
        assert api.delete(f"{SUITES}/{suite['id']}").status_code == 204
    with tenant_scope(owner.tenant):
        assert [*Evaluation.objects.order_by("id").values_list("pk", flat=True)] == found[-2:]


def test_promotion_requires_the_score_that_was_asked_for(owner: Person, releases: tuple[Release, Release]) -> None:
    api, (_, release) = logged_in(owner), releases
    suite, other = made(api), made(api, "of another model")
    change_stage(acting=owner.acting, release_id=release.pk, stage="staged")
    register_external(acting=owner.acting, name="other:1", digest=f"sha256:{'3' * 64}", engine="ollama", size=1)
    api.post(NEEDS, {"suite": other["id"], "model": "other", "least_score": 1}, format="json")
    need = api.post(NEEDS, {"suite": suite["id"], "least_score": 0.9}, format="json")
    assert need.status_code == 201, need.content
    assert api.post(NEEDS, {"suite": suite["id"], "least_score": 0.5}, format="json").status_code == 409
    assert api.post(NEEDS, {"suite": suite["id"], "model": "none", "least_score": 1}, format="json").status_code == 404
    assert "requires a score of at least 90%, and the version was not evaluated" in promoted(owner, release)
    completed(owner, release, suite, 9)
    completed(owner, release, suite, 8)
    # The last one counts, and not the best: who tries until it fits has not passed.
    assert "has 80.0% (8 of 10 cases)" in promoted(owner, release)
    completed(owner, release, suite, 9)
    changed = api.patch(f"{SUITES}/{suite['id']}", {"cases": [says("y", exact("y"))]}, format="json").json()
    assert "its cases were changed since" in promoted(owner, release)
    refused = api.patch(f"/api/v1/versions/{release.pk}", {"stage": "production"}, format="json")
    assert (refused.status_code, refused.json()["param"]) == (409, "stage")
    completed(owner, release, changed, 9)
    assert api.delete(f"{SUITES}/{suite['id']}").status_code == 409, "promotion requires it"
    assert promoted(owner, release) == ""


def test_the_last_approval_looks_at_the_score_once_more(owner: Person, releases: tuple[Release, Release]) -> None:
    api, (_, release) = logged_in(owner), releases
    suite = made(api)
    change_stage(acting=owner.acting, release_id=release.pk, stage="staged")
    api.post(NEEDS, {"suite": suite["id"], "model": "m", "least_score": 1}, format="json")
    set_approvals(acting=owner.acting, approvals=1)
    completed(owner, release, suite, 10)
    assert promoted(owner, release) == ""
    completed(owner, release, suite, 9)
    other = make_person(owner.tenant, "other", "owner")
    with tenant_scope(owner.tenant):
        promotion = Promotion.objects.get()
    with pytest.raises(Conflict, match=r"has 90\.0%"):
        approve_promotion(acting=other.acting, promotion_id=promotion.pk)
    with tenant_scope(owner.tenant):
        assert Release.objects.get(pk=release.pk).stage == "staged"


def test_who_may_only_manage_models_cannot_make_a_required_suite_easier(owner: Person) -> None:
    suite = made(logged_in(owner))
    logged_in(owner).post(NEEDS, {"suite": suite["id"], "least_score": 1}, format="json")
    manager = with_key(make_key(owner, permissions=["model.view", "model.manage", "model.promote"]).text)
    address = f"{SUITES}/{suite['id']}"
    assert manager.patch(address, {"cases": [says("y", exact("y"))]}, format="json").status_code == 403
    assert manager.patch(address, {"description": "told better"}, format="json").status_code == 200
    [need] = manager.get(NEEDS).json()["results"]
    assert manager.delete(f"{NEEDS}/{need['id']}").status_code == 403
    assert logged_in(owner).delete(f"{NEEDS}/{need['id']}").status_code == 204


def test_two_versions_are_compared_by_their_last_results(
    owner: Person, releases: tuple[Release, Release], stranger: Person
) -> None:
    suite = made(logged_in(owner))
    first, second = releases
    for release, passed in ((first, 5), (second, 1), (second, 7)):
        evaluation = completed(owner, release, suite, passed)
    with tenant_scope(owner.tenant):
        channel = Channel.objects.get()
        result = EvaluationResult(tenant=owner.tenant, evaluation=evaluation, number=0, name="x", passed=True)
        result.put_outcome("x", [])
        result.save()
    address = f"/api/v1/models/{channel.pk}/evaluations/comparison"
    query = {"before": first.version.digest, "after": second.version.digest}
    [found] = logged_in(owner).get(address, query).json()
    assert (found["before"]["score"], found["after"]["score"], found["same_cases"]) == (0.5, 0.7, True)
    results = f"/api/v1/evaluations/{evaluation.pk}/results"
    assert [each["answer"] for each in logged_in(owner).get(results).json()["results"]] == ["x"]
    assert logged_in(stranger).get(address, query).status_code == 404
    assert logged_in(stranger).get(results).status_code == 404


def test_a_key_that_could_not_run_to_the_end_is_refused(owner: Person, releases: tuple[Release, Release]) -> None:
    suite = made(logged_in(owner))
    idle = make_key(owner, permissions=["model.manage"])
    soon = make_key(owner, expires_at=timezone.now() + datetime.timedelta(days=1))
    address = f"/api/v1/versions/{releases[1].pk}/evaluations"
    for key, status in ((idle, 400), (soon, 201)):
        body = {"suite": suite["id"], "key": str(key.row.pk)}
        assert logged_in(owner).post(address, body, format="json").status_code == status
