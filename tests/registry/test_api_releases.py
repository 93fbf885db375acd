"""Versions of a model over the API: stages, promotions by several people, moves of channels and back, comparison, deletion."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from models_registry import manifest as manifests
from models_registry.actions import external
from models_registry.actions.create import create_model
from models_registry.actions.job import submit_job
from models_registry.actions.replica import reconcile_replicas
from models_registry.actions.version import discard_version, point_version, publish_gguf, register_external
from models_registry.jobs import engines
from models_registry.models import Channel, ChannelMove, Promotion, Release, Version
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.identity.actions.grant import give_grant
from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.actions.member import change_member
from ollamamax.identity.actions.service_account import create_service_account
from ollamamax.identity.actions.user import set_user_active
from ollamamax.identity.models import MemberGrant, Membership
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict
from ollamamax.kernel.principal import Principal
from tests.cast import SYSTEM, Person, logged_in, make_key, make_person, with_key
from tests.registry.conftest import Publish, write_gguf

pytestmark = pytest.mark.django_db(transaction=True)
MODELS = "/api/v1/models"


class Shelf:
    """A model ``tiny`` of the owner with two versions: ``latest`` points at the second, ``1b`` at the first."""

    def __init__(self, owner: Person, api: APIClient, first: Version, second: Version) -> None:
        self.owner, self.api, self.first, self.second = owner, api, first, second

    def channel(self, name: str = "latest") -> str:
        found = self.api.get(MODELS).json()["results"]
        return f"{MODELS}/{next(row['id'] for row in found if row['name'] == f'tiny:{name}')}"

    def release(self, version: Version) -> str:
        found = self.api.get(f"{self.channel()}/versions").json()["results"]
        return f"/api/v1/versions/{next(row['id'] for row in found if row['version'] == version.digest)}"

    def bring(self, version: Version, *stages: str, api: APIClient | None = None) -> Any:
        for stage in stages:
            answer = (api or self.api).patch(self.release(version), {"stage": stage}, format="json")
        return answer


def post(api: APIClient, where: str, **body: Any) -> Any:
    return api.post(where, body, format="json")


def published(valkey: redis.Redis, person: Person, name: str) -> dict[str, Any] | None:
    found = valkey.hget(keys.directory("models"), f"{person.tenant.id.hex}/{name}")
    return json.loads(found) if found else None


@pytest.fixture
def shelf(owner: Person, owner_api: APIClient, publish: Publish, tmp_path: Path) -> Shelf:
    first = publish(owner, "tiny:1b", "latest")
    second = publish(owner, "tiny:latest", file=write_gguf(tmp_path / "other.gguf", size=16))
    return Shelf(owner, owner_api, first, second)


def test_every_move_is_told_with_who_when_from_to_and_why(shelf: Shelf, valkey: redis.Redis) -> None:
    moved = post(shelf.api, f"{shelf.channel()}/moves", version=shelf.first.digest, reason="it got worse")
    assert (moved.status_code, moved.json()["version"]) == (201, shelf.first.digest)
    entry = published(valkey, shelf.owner, "tiny:latest")
    assert entry is not None
    assert entry["version"] == shelf.first.digest
    told = shelf.api.get(f"{shelf.channel()}/moves").json()["results"]
    assert [(row["channel"], row["from_version"], row["to_version"], row["reason"]) for row in told] == [
        ("latest", shelf.second.digest, shelf.first.digest, "it got worse"),
        ("latest", shelf.first.digest, shelf.second.digest, ""),
        ("latest", "", shelf.first.digest, ""),
        ("1b", "", shelf.first.digest, ""),
    ]
    assert {row["by_name"] for row in told} == {shelf.owner.acting.name}
    record = AuditRecord.objects.get(action="channel.move")
    assert (record.detail["from"], record.detail["to"]) == (shelf.second.digest, shelf.first.digest)
    # Where it is already, nothing moves.
    post(shelf.api, f"{shelf.channel()}/moves", version=shelf.first.digest)
    assert AuditRecord.objects.filter(action="channel.move").count() == 1


def test_a_rollback_goes_to_where_the_channel_pointed_before(shelf: Shelf) -> None:
    back = post(shelf.api, f"{shelf.channel()}/rollback", reason="bad answers")
    assert back.json()["version"] == shelf.first.digest
    assert post(shelf.api, f"{shelf.channel()}/rollback").json()["version"] == shelf.second.digest
    assert post(shelf.api, f"{shelf.channel('1b')}/rollback").status_code == 409


def test_a_version_is_found_by_its_digest_until_it_is_archived(shelf: Shelf, valkey: redis.Redis) -> None:
    name = f"tiny@{shelf.first.digest}"
    assert (published(valkey, shelf.owner, name) or {})["version"] == shelf.first.digest
    post(shelf.api, f"{shelf.channel('1b')}/moves", version=shelf.second.digest)
    assert published(valkey, shelf.owner, name) is not None
    assert shelf.bring(shelf.first, "archived").status_code == 200
    assert published(valkey, shelf.owner, name) is None
    refused = post(shelf.api, f"{shelf.channel()}/moves", version=shelf.first.digest)
    assert refused.status_code == 409
    assert "archived" in refused.json()["detail"]


def test_what_is_deprecated_is_told_to_the_gateways_under_every_name(shelf: Shelf, valkey: redis.Redis) -> None:
    shelf.bring(shelf.second, "staged", "production", "deprecated")
    for name in ("tiny:latest", f"tiny@{shelf.second.digest}"):
        assert (published(valkey, shelf.owner, name) or {})["deprecated"] is True
    assert "deprecated" not in (published(valkey, shelf.owner, "tiny:1b") or {})


def test_where_the_tenant_says_so_another_person_approves_and_never_the_one_who_asked(shelf: Shelf) -> None:
    set_ = shelf.api.put("/api/v1/promotions/policy", {"approvals": 1}, format="json")
    assert (set_.status_code, shelf.api.get("/api/v1/promotions/policy").json()) == (200, {"approvals": 1})
    asked = shelf.bring(shelf.first, "staged", "production").json()
    assert (asked["stage"], asked["promotion"]["needed"]) == ("staged", 1)
    approve = f"/api/v1/promotions/{asked['promotion']['id']}/approve"
    own = with_key(make_key(shelf.owner).text)
    for api in (shelf.api, own):  # by a key of theirs neither
        assert post(api, approve).status_code == 403
    developer = make_person(shelf.owner.tenant, "dev", "developer")
    assert post(logged_in(developer), approve).status_code == 403
    other = make_person(shelf.owner.tenant, "other", "operator")
    done = post(logged_in(other), approve)
    assert (done.status_code, done.json()["state"]) == (200, "done")
    assert shelf.api.get(shelf.release(shelf.first)).json()["stage"] == "production"
    assert post(logged_in(other), approve).status_code == 409
    assert AuditRecord.objects.filter(action__in=["version.ask_promotion", "version.approve"]).count() == 2


def test_a_promotion_is_rejected_and_may_be_asked_for_again(shelf: Shelf) -> None:
    shelf.api.put("/api/v1/promotions/policy", {"approvals": 2}, format="json")
    asked = shelf.bring(shelf.first, "staged", "production").json()["promotion"]["id"]
    assert shelf.bring(shelf.first, "production").status_code == 409
    assert post(shelf.api, f"/api/v1/promotions/{asked}/reject").json()["state"] == "rejected"
    assert shelf.bring(shelf.first, "production").json()["promotion"] is not None
    found = shelf.api.get("/api/v1/promotions?state=open").json()["results"]
    assert [row["state"] for row in found] == ["open"]


def test_who_manages_models_stages_and_only_who_may_promote_promotes(shelf: Shelf) -> None:
    developer = logged_in(make_person(shelf.owner.tenant, "dev", "developer"))
    assert shelf.bring(shelf.first, "staged", api=developer).status_code == 200
    assert shelf.bring(shelf.first, "production", api=developer).status_code == 403
    viewer = logged_in(make_person(shelf.owner.tenant, "eye", "viewer"))
    assert shelf.bring(shelf.first, "draft", api=viewer).status_code == 403


def test_a_protected_channel_takes_production_only_whatever_way_it_is_moved(
    shelf: Shelf, publish: Publish, tmp_path: Path
) -> None:
    protect = f"{shelf.channel()}/protection"
    assert shelf.api.put(protect, {"protected": True}, format="json").status_code == 409
    shelf.bring(shelf.second, "staged", "production")
    assert shelf.api.put(protect, {"protected": True}, format="json").json()["protected"] is True
    assert post(shelf.api, f"{shelf.channel()}/moves", version=shelf.first.digest).status_code == 409
    with pytest.raises(Conflict, match="protected"):
        publish(shelf.owner, "tiny:latest", file=write_gguf(tmp_path / "third.gguf", size=32))
    shelf.bring(shelf.first, "staged", "production")
    developer = logged_in(make_person(shelf.owner.tenant, "dev", "developer"))
    move = f"{shelf.channel()}/moves"
    assert post(developer, move, version=shelf.first.digest).status_code == 403
    assert developer.delete(shelf.channel()).status_code == 403
    assert post(shelf.api, move, version=shelf.first.digest).status_code == 201


def test_deletion_says_what_uses_a_version_and_takes_what_nothing_uses(shelf: Shelf, valkey: redis.Redis) -> None:
    refused = shelf.api.delete(shelf.release(shelf.first))
    assert (refused.status_code, refused.json()["uses"]) == (409, ["the channel '1b' points at it"])
    post(shelf.api, f"{shelf.channel('1b')}/moves", version=shelf.second.digest)
    shelf.bring(shelf.first, "staged")
    assert shelf.api.delete(shelf.release(shelf.first)).json()["uses"] == ["it is staged"]
    shelf.bring(shelf.first, "draft")
    assert shelf.api.delete(shelf.release(shelf.first)).status_code == 204
    with every_tenant():
        assert not Version.objects.filter(digest=shelf.first.digest).exists()
    assert published(valkey, shelf.owner, f"tiny@{shelf.first.digest}") is None
    # What its channel pointed at before is gone, so there is no way back.
    assert post(shelf.api, f"{shelf.channel()}/rollback").status_code == 409


def test_a_comparison_shows_parameters_template_and_weights(shelf: Shelf) -> None:
    made = create_model(
        acting=shelf.owner.acting,
        wanted={
            "model": "tiny:warm",
            "from": "tiny:1b",
            "parameters": {"temperature": 0.9},
            "template": "{{ .Prompt }}!",
        },
        tell=lambda _: None,
    )
    point_version(acting=shelf.owner.acting, name="tiny:warm", version=made)
    where = f"{shelf.channel()}/comparison?before={shelf.first.digest}&after={made.digest}"
    found = {row["field"]: (row["before"], row["after"]) for row in shelf.api.get(where).json()}
    assert found["parameter:temperature"] == (None, 0.9)
    assert found["template"] == (None, "{{ .Prompt }}!")
    assert "weights" not in found
    same = shelf.api.get(f"{shelf.channel()}/comparison?before={made.digest}&after={made.digest}")
    assert same.json() == []


def test_a_staged_version_is_wanted_on_nodes_before_a_channel_points_at_it(shelf: Shelf) -> None:
    post(shelf.api, f"{shelf.channel('1b')}/moves", version=shelf.second.digest)
    with every_tenant():
        release = Release.objects.get(version=shelf.first)
    from models_registry.actions.replica import wanted_versions

    with every_tenant():
        assert shelf.first.id not in wanted_versions({shelf.owner.tenant.id})
        shelf.bring(shelf.first, "staged")
        assert {shelf.first.id, shelf.second.id} <= wanted_versions({shelf.owner.tenant.id})
    assert release.stage == "draft"
    assert reconcile_replicas() == 0


def test_another_tenant_sees_none_of_it(shelf: Shelf, stranger: Person) -> None:
    api = logged_in(stranger)
    release, channel = shelf.release(shelf.first), shelf.channel()
    for answer in (
        api.get(release),
        api.patch(release, {"stage": "staged"}, format="json"),
        api.delete(release),
        api.get(f"{channel}/versions"),
        api.get(f"{channel}/moves"),
        post(api, f"{channel}/moves", version=shelf.first.digest),
        post(api, f"{channel}/rollback"),
        post(api, f"{channel}/channels", name="x", version=shelf.first.digest),
        api.get(f"{channel}/comparison?before={shelf.first.digest}&after={shelf.second.digest}"),
    ):
        assert answer.status_code == 404
    assert api.get("/api/v1/promotions").json()["results"] == []


def test_a_further_channel_is_made_once_and_its_history_survives_it(shelf: Shelf) -> None:
    made = post(shelf.api, f"{shelf.channel()}/channels", name="canary", version=shelf.first.digest)
    assert (made.status_code, made.json()["name"]) == (201, "canary")
    again = post(shelf.api, f"{shelf.channel()}/channels", name="canary", version=shelf.second.digest)
    assert again.status_code == 409
    assert shelf.api.delete(shelf.channel("canary")).status_code == 204
    with tenant_scope(shelf.owner.tenant):
        last = ChannelMove.objects.order_by("-id").first()
        assert last is not None
        assert (last.channel, last.to_version) == ("canary", "")


def test_no_model_is_called_as_a_version_of_another_would_be(owner: Person, gguf: Path, valkey: redis.Redis) -> None:
    from ollamamax.kernel.errors import InvalidRequest

    with pytest.raises(InvalidRequest, match="cannot end in"):
        publish_gguf(acting=owner.acting, file=gguf, name=f"tiny@sha256:{'a' * 64}")
    assert manifests.split_name("a@b:c") == ("a@b", "c")


def test_a_version_that_a_model_has_survives_a_job_that_made_it_again_in_vain(shelf: Shelf) -> None:
    post(shelf.api, f"{shelf.channel('1b')}/moves", version=shelf.second.digest)
    shelf.bring(shelf.first, "staged")
    discard_version(acting=shelf.owner.acting, version=shelf.first)
    assert shelf.api.get(shelf.release(shelf.first)).json()["stage"] == "staged"


def test_what_waits_for_approval_ends_when_the_version_gets_into_production_otherwise(shelf: Shelf) -> None:
    shelf.api.put("/api/v1/promotions/policy", {"approvals": 1}, format="json")
    assert shelf.bring(shelf.first, "staged", "production").json()["stage"] == "staged"
    shelf.api.put("/api/v1/promotions/policy", {"approvals": 0}, format="json")
    assert shelf.bring(shelf.first, "production").json()["promotion"] is None
    with every_tenant():
        assert Promotion.objects.get().state == "done"


def test_no_service_account_approves(shelf: Shelf) -> None:
    shelf.api.put("/api/v1/promotions/policy", {"approvals": 1}, format="json")
    asked = shelf.bring(shelf.first, "staged", "production").json()["promotion"]["id"]
    account = create_service_account(acting=shelf.owner.acting, name="bot", role="operator")
    acting = Principal("system", "tests", shelf.owner.tenant.id.hex, "tests")
    held = ["model.view", "model.promote"]
    text = issue_key(acting=acting, name="bot", permissions=held, created_by=account.membership.user_id)[1]
    answer = post(with_key(text), f"/api/v1/promotions/{asked}/approve")
    assert (answer.status_code, "Only people" in answer.json()["detail"]) == (403, True)


def test_with_the_last_name_go_the_versions_kept_for_their_stage_but_not_those_of_other_models(shelf: Shelf) -> None:
    other = post(shelf.api, f"{shelf.channel('1b')}/copy", name="other:x").json()["id"]
    post(shelf.api, f"{shelf.channel('1b')}/moves", version=shelf.second.digest)
    third = create_model(
        acting=shelf.owner.acting, wanted={"model": "tiny:warm", "from": "tiny:1b", "system": "s"}, tell=lambda _: None
    )
    point_version(acting=shelf.owner.acting, name="tiny:warm", version=third)
    point_version(acting=shelf.owner.acting, name="other:x", version=third)
    shelf.bring(third, "staged")
    for name in ("warm", "1b", "latest"):
        assert shelf.api.delete(shelf.channel(name)).status_code == 204
    with every_tenant():
        # The other model has the first still, to which its name may go back; nothing has the second.
        left = set(Version.objects.values_list("digest", flat=True))
    assert left == {shelf.first.digest, third.digest}
    assert shelf.api.delete(f"{MODELS}/{other}").status_code == 204
    with every_tenant():
        assert not Version.objects.exists()


def test_engines_are_not_asked_to_delete_what_a_protected_name_points_at(shelf: Shelf) -> None:
    with every_tenant():
        Channel.objects.filter(name="latest").update(protected=True)
    with pytest.raises(Conflict, match="protected"):
        submit_job(acting=shelf.owner.acting, kind="delete", model="tiny:latest", request={"model": "tiny:latest"})


@pytest.mark.parametrize("kind", ["pull", "create"])
def test_engines_are_not_told_to_change_the_bytes_behind_a_protected_name(shelf: Shelf, kind: str) -> None:
    """An engine changes them before the registry could refuse; asked for earlier, the job is refused when it begins."""
    held = register_external(
        acting=shelf.owner.acting, name="kept:latest", digest="sha256:" + "e" * 64, engine="ollama", size=1
    )
    asking: dict[str, Any] = {
        "acting": shelf.owner.acting, "kind": kind, "model": "KEPT", "request": {"model": "kept", "from": "kept"},
    }  # fmt: skip
    job = submit_job(**asking)
    with tenant_scope(shelf.owner.tenant):
        Channel.objects.filter(version=held).update(protected=True)
    with pytest.raises(Conflict, match="protected"):
        submit_job(**asking | {"request": {"model": "kept", "from": "kept", "again": True}})
    with pytest.raises(Conflict, match="protected"):
        engines._require_unprotected(job, "kept")
    # Of what the registry holds itself a pull makes another version, which the channel does not take.
    with every_tenant():
        Channel.objects.filter(name="latest", model__name="tiny").update(protected=True)
    submit_job(**asking | {"model": "tiny:latest"})


def test_what_people_decided_to_keep_is_not_forgotten_with_the_nodes_that_had_it(
    shelf: Shelf, owner: Person, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(name: str, letter: str) -> Version:
        return register_external(
            acting=owner.acting, name=f"{name}:1", digest="sha256:" + letter * 64, engine="ollama", size=1
        )

    protected, staged, other = kept("protected", "1"), kept("staged", "2"), kept("other", "3")
    monkeypatch.setattr(external, "NEW", datetime.timedelta(0))
    viewer = make_person(owner.tenant, "viewer-of-one", "member")
    with tenant_scope(owner.tenant):
        Channel.objects.filter(version=protected).update(protected=True)
        Release.objects.filter(version=staged).update(stage="staged")
        membership = Membership.objects.get(user=viewer.user)
        model = Channel.objects.get(version=other).model_id
    give_grant(acting=owner.acting, membership_id=membership.pk, permission="model.view", kind="model", object_id=model)
    field = f"{owner.tenant.id.hex}/other@{other.digest}"
    assert valkey.hexists(keys.directory("models"), field)
    assert external.forget_unheld() == 1
    assert external.forget_unheld() == 0
    with tenant_scope(owner.tenant):
        left = set(Version.objects.filter(source="external").values_list("digest", flat=True))
        assert left == {protected.digest, staged.digest}
        assert not MemberGrant.objects.exists()
    assert not valkey.hexists(keys.directory("models"), field)


def test_whoever_may_not_promote_any_more_has_agreed_to_nothing(shelf: Shelf) -> None:
    shelf.api.put("/api/v1/promotions/policy", {"approvals": 2}, format="json")
    asked = shelf.bring(shelf.first, "staged", "production").json()["promotion"]["id"]
    tenant, approve = shelf.owner.tenant, f"/api/v1/promotions/{asked}/approve"
    people = [make_person(tenant, f"approver-{number}", "operator") for number in range(4)]
    assert post(logged_in(people[0]), approve).status_code < 300
    change_member(acting=shelf.owner.acting, tenant=tenant, user_id=people[0].user.pk, role="viewer")
    assert post(logged_in(people[1]), approve).status_code < 300
    set_user_active(acting=SYSTEM, user_id=people[1].user.pk, active=False)
    assert post(logged_in(people[2]), approve).status_code < 300
    assert shelf.api.get(shelf.release(shelf.first)).json()["stage"] == "staged"
    assert post(logged_in(people[3]), approve).status_code < 300
    assert shelf.api.get(shelf.release(shelf.first)).json()["stage"] == "production"


def test_what_a_program_asks_for_is_approved_by_as_many_people_as_if_one_had_asked(shelf: Shelf) -> None:
    """Whoever has its key may be one of those who approve: two keys of one person are two eyes."""
    shelf.api.put("/api/v1/promotions/policy", {"approvals": 1}, format="json")
    account = create_service_account(acting=shelf.owner.acting, name="bot", role="operator")
    acting = Principal("system", "tests", shelf.owner.tenant.id.hex, "tests")
    held = ["model.view", "model.manage", "model.promote"]
    text = issue_key(acting=acting, name="bot", permissions=held, created_by=account.membership.user_id)[1]
    shelf.bring(shelf.first, "staged")
    asked = shelf.bring(shelf.first, "production", api=with_key(text)).json()["promotion"]["id"]
    approve = f"/api/v1/promotions/{asked}/approve"
    assert post(shelf.api, approve).status_code < 300
    assert shelf.api.get(shelf.release(shelf.first)).json()["stage"] == "staged"
    assert post(logged_in(make_person(shelf.owner.tenant, "second", "operator")), approve).status_code < 300
    assert shelf.api.get(shelf.release(shelf.first)).json()["stage"] == "production"
