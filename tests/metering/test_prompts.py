"""Prompts by a tenant's policy: sealed by gateways that cannot open them, read by who may, gone when their days are over."""

from __future__ import annotations

import datetime
import time
import uuid
from typing import Any

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.dispatch.prompts import prompt_of
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.contract import Inference
from ollamamax.contract.prompts import MOST_BYTES, SealedPrompt, encode_prompt, encode_sealed, place_of
from ollamamax.identity.directory import known_tenants
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.metering.actions import prompt as actions
from ollamamax.metering.models import KeptPrompt
from ollamamax.sealed_to import new_pair, open_with, seal_to
from ollamamax.secret_box import CannotOpen
from tests.cast import Person, logged_in, make_key, make_person, with_key
from tests.metering.records import written

pytestmark = pytest.mark.django_db
OWN = "/api/v1/tenant"
ASKED = Inference(kind="chat", messages=[{"role": "user", "content": "where is the plan?"}])


def policy(api: APIClient, days: Any) -> Any:
    return api.patch(OWN, {"prompt_days": days}, format="json")


def entry(tenant: Tenant, request: uuid.UUID, inference: Inference = ASKED, **changes: Any) -> bytes:
    """As a gateway writes it, which knows the public key alone."""
    tenant.refresh_from_db()
    plain = encode_prompt(prompt_of(inference))
    sealed = seal_to(bytes(tenant.prompt_key or b""), plain, place_of(tenant.id.hex, request.hex))
    made = {"key": uuid.uuid4().hex, "received_at": time.time(), "sealed": sealed, **changes}
    return encode_sealed(SealedPrompt(request.hex, tenant.id.hex, **made))


def kept(client: redis.Redis, tenant: Tenant, **changes: Any) -> uuid.UUID:
    request = uuid.uuid4()
    client.xadd(keys.PROMPTS, {"r": entry(tenant, request, **changes)})
    assert actions.write_prompts() == 1
    return request


def left() -> int:
    with every_tenant():
        return KeptPrompt.objects.count()


def test_a_tenant_says_for_how_long_prompts_are_kept_and_gateways_are_told_the_public_half(
    owner: Person, owner_api: APIClient, viewer_api: APIClient, valkey: redis.Redis
) -> None:
    def told() -> str:
        return known_tenants([owner.tenant.id.hex])[owner.tenant.id.hex].prompt_key

    assert (owner_api.get(OWN).json()["prompt_days"], told()) == (0, "")
    for wrong in (-1, 401, "x", 1.5, None):
        assert policy(owner_api, wrong).status_code == 400
    assert policy(viewer_api, 7).status_code == 403
    assert policy(owner_api, 7).json()["prompt_days"] == 7
    public = told()
    assert len(public) == 44
    assert policy(owner_api, 30).status_code == 200
    assert told() == public
    owner.tenant.refresh_from_db()
    # Neither the database nor who reads the API has the private half.
    assert bytes(owner.tenant.sealed_prompt_key or b"")[:1] == b"\x01"
    assert "key" not in owner_api.get(OWN).json()
    assert policy(owner_api, 0).status_code == 200
    assert told() == ""
    with every_tenant():
        changes = AuditRecord.objects.filter(action="tenant.change").order_by("seq").values_list("detail", flat=True)
    assert [each["prompt_days"] for each in changes] == [7, 30, 0]


def test_each_reading_is_in_the_audit_trail_and_nobody_else_may_read(
    owner: Person, owner_api: APIClient, stranger_api: APIClient, viewer_api: APIClient, valkey: redis.Redis
) -> None:
    policy(owner_api, 7)
    request = kept(valkey, owner.tenant)
    with every_tenant():
        assert b"plan" not in bytes(KeptPrompt.objects.get().sealed)
    address = f"/api/v1/prompts/{request}"
    assert owner_api.get("/api/v1/prompts/nonsense").status_code == 404
    for as_told in (request, request.hex):
        answer = owner_api.get(f"/api/v1/prompts/{as_told}")
        assert answer["Cache-Control"] == "no-store"
        assert answer.json()["parts"] == [{"role": "user", "text": "where is the plan?"}]
        assert (answer.json()["cut"], answer.json()["bytes"]) == (False, 18)
    admin = logged_in(make_person(owner.tenant, "boss", "admin"))
    key = with_key(make_key(owner, permissions=["usage.view"]).text)
    assert [api.get(address).status_code for api in (viewer_api, admin, key, stranger_api)] == [403, 403, 403, 404]
    assert with_key(make_key(owner, permissions=["prompt.view"]).text).get(address).status_code == 200
    with every_tenant():
        read = AuditRecord.objects.filter(action="prompt.read").order_by("seq").values_list("target_id", "actor_kind")
    assert list(read) == [(request.hex, "user"), (request.hex, "user"), (request.hex, "key")]


def test_why_a_prompt_is_not_there_is_said(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    def why(request: uuid.UUID) -> str:
        answer = owner_api.get(f"/api/v1/prompts/{request}")
        assert answer.status_code == 404
        return str(answer.json()["detail"])

    policy(owner_api, 7)
    assert "no such request" in why(uuid.uuid4())
    assert "There was no policy" in why(written(owner.tenant).request)
    assert "gateway was lost" in why(written(owner.tenant, outcome="gateway_lost", error="gateway_lost").request)
    assert "lost" in why(written(owner.tenant, prompt_kept=True).request)
    long_ago = timezone.now() - datetime.timedelta(days=8)
    assert "are over" in why(written(owner.tenant, prompt_kept=True, received_at=long_ago).request)
    # Not swept yet, and already not shown.
    assert "no such request" in why(kept(valkey, owner.tenant, received_at=long_ago.timestamp()))
    detail = owner_api.get(f"/api/v1/requests/{written(owner.tenant, prompt_kept=True).request}").json()
    assert detail["prompt_kept"] is True


def test_what_no_key_opens_is_no_error_of_the_server(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    policy(owner_api, 7)
    first, second = kept(valkey, owner.tenant), kept(valkey, owner.tenant)
    with tenant_scope(owner.tenant):
        KeptPrompt.objects.filter(pk=first).update(sealed=KeptPrompt.objects.get(pk=second).sealed)
    assert owner_api.get(f"/api/v1/prompts/{first}").status_code == 409
    assert owner_api.get(f"/api/v1/prompts/{second}").status_code == 200
    Tenant.objects.filter(pk=owner.tenant.pk).update(sealed_prompt_key=b"\x01 of a key that is lost")
    assert owner_api.get(f"/api/v1/prompts/{second}").status_code == 409
    with every_tenant():
        assert AuditRecord.objects.filter(action="prompt.read").count() == 1


def test_days_that_are_over_end_a_prompt_and_a_policy_that_is_off_ends_them_all(
    owner: Person, owner_api: APIClient, stranger: Person, stranger_api: APIClient, valkey: redis.Redis
) -> None:
    policy(owner_api, 7)
    policy(stranger_api, 400)
    old = time.time() - 8 * 86_400
    kept(valkey, owner.tenant, received_at=old)
    kept(valkey, stranger.tenant, received_at=old)
    kept(valkey, owner.tenant)
    assert (actions.sweep_prompts(), left()) == (1, 2)
    on_its_way = entry(owner.tenant, uuid.uuid4())
    policy(owner_api, 0)
    assert (actions.sweep_prompts(), left()) == (1, 1)
    valkey.xadd(keys.PROMPTS, {"r": on_its_way})
    assert actions.write_prompts() == 1
    assert (left(), valkey.xlen(keys.PROMPTS)) == (1, 0), "what was on its way then is not kept either"


def test_what_was_kept_is_read_no_more_when_the_policy_was_off_for_a_moment(
    owner: Person, owner_api: APIClient, valkey: redis.Redis
) -> None:
    policy(owner_api, 7)
    before = kept(valkey, owner.tenant)
    policy(owner_api, 30)
    assert owner_api.get(f"/api/v1/prompts/{before}").status_code == 200
    for days in (0, 0, 30):
        policy(owner_api, days)
    assert owner_api.get(f"/api/v1/prompts/{before}").status_code == 409
    assert owner_api.get(f"/api/v1/prompts/{kept(valkey, owner.tenant)}").status_code == 200


def test_what_comes_twice_is_kept_once_and_nonsense_keeps_nothing_back(
    owner: Person, owner_api: APIClient, valkey: redis.Redis
) -> None:
    policy(owner_api, 7)
    request = uuid.uuid4()
    gone = Tenant(slug="gone", prompt_key=owner.tenant.prompt_key)
    good = entry(owner.tenant, request)
    strange = encode_sealed(SealedPrompt("x", "y", "z", 1e300, b""))
    foreign = encode_sealed(SealedPrompt(uuid.uuid4().hex, gone.id.hex, uuid.uuid4().hex, time.time(), b"x"))
    for each in (b"", strange, b"\xc1", foreign, good, good):
        valkey.xadd(keys.PROMPTS, {"r": each})
    valkey.xadd(keys.PROMPTS, {"other": b"field"})
    valkey.xadd(keys.PROMPTS, {"r": entry(owner.tenant, uuid.uuid4(), user="a\0b" + "c" * 400)})
    assert actions.write_prompts() == 8
    assert (left(), valkey.xlen(keys.PROMPTS)) == (2, 0)


def test_who_is_erased_leaves_no_prompt(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    def erase(**of: str) -> Any:
        return owner_api.post("/api/v1/audit/erasures", {"reason": "asked", **of}, format="json")

    policy(owner_api, 7)
    member = make_person(owner.tenant, "ann", "developer")
    kept(valkey, owner.tenant, key=make_key(member).row.id.hex)
    kept(valkey, owner.tenant, user="Client@Example.com")
    others = kept(valkey, owner.tenant, key=make_key(owner).row.id.hex)
    assert erase(user=str(member.user.id)).json()["prompts"] == 1
    # The trail never named them.
    assert erase(email="client@example.com").json() == {"keys": 0, "prompts": 1}
    assert erase(email="client@example.com").status_code == 404
    with every_tenant():
        assert list(KeptPrompt.objects.values_list("pk", flat=True)) == [others]


def test_a_prompt_is_its_text_and_what_is_too_long_is_cut_and_says_so() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 200_000}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "what is this?"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look"}}]},
    ]
    found = prompt_of(Inference(kind="chat", messages=messages))
    assert [part.role for part in found.parts] == ["system", "user", "assistant"]
    assert found.parts[1].text == "what is this?\n[image_url, 200065 bytes]"
    assert '"look"' in found.parts[2].text
    assert not found.cut
    long = prompt_of(Inference(kind="completion", prompt="x" + "é" * MOST_BYTES, suffix="end"))
    assert (long.cut, long.bytes) == (True, 2 * MOST_BYTES + 4)
    # A character that the cut goes through is left out whole.
    assert [len(part.text.encode()) for part in long.parts] == [MOST_BYTES - 1]
    some = prompt_of(Inference(kind="embed", inputs=["a", "b"], input_ids=[[1, 2]]))
    assert [(part.role, part.text) for part in some.parts] == [("input", "a"), ("input", "b"), ("tokens", "1 2")]
    many = prompt_of(Inference(kind="embed", inputs=[""] * 5000))
    assert (len(many.parts), many.cut) == (2000, True)
    assert len(encode_prompt(prompt_of(Inference(kind="completion", prompt="\0" * 10**6)))) < MOST_BYTES + 200


def test_what_is_sealed_is_opened_by_the_private_half_for_its_place_alone() -> None:
    public, private = new_pair()
    sealed = seal_to(public, b"asked", "here")
    assert seal_to(public, b"asked", "here") != sealed
    assert open_with(private, sealed, "here") == b"asked"
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for key, value, place in (
        (private, sealed, "there"),
        (new_pair()[1], sealed, "here"),
        (public, sealed, "here"),
        (private, changed, "here"),
        (private, b"\x02" + sealed[1:], "here"),
        (private, b"", "here"),
        (b"short", sealed, "here"),
    ):
        with pytest.raises(CannotOpen):
            open_with(key, value, place)
    with pytest.raises(ValueError, match="32 bytes"):
        seal_to(b"no key", b"asked", "here")
