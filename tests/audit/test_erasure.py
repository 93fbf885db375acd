"""What is personal in the audit trail, and that somebody who is erased is named nowhere any more while the chain stays whole."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from pytest_django import Settings

from ollamamax.audit import personal, queries
from ollamamax.audit.actions import record
from ollamamax.audit.erasure import erase_subject
from ollamamax.audit.holds import place_hold
from ollamamax.audit.models import AuditRecord, SubjectKey
from ollamamax.audit.verify import verify
from ollamamax.kernel.errors import Conflict, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.secret_box import SecretBox, derived_key

pytestmark = pytest.mark.django_db(transaction=True)
TENANT, OTHER = uuid.UUID(int=7), uuid.UUID(int=8)


def person(number: int, name: str, address: str = "203.0.113.7") -> Principal:
    return Principal("user", uuid.UUID(int=number).hex, TENANT.hex, name, address=address)


ADA, BOB = person(1, "ada@acme.example"), person(2, "bob@acme.example", "2001:db8::7")


def write(acting: Principal, tenant: uuid.UUID = TENANT, target: Principal | None = None, **detail: Any) -> AuditRecord:
    kind, id_ = ("thing", "1") if target is None else ("user", target.id)
    with transaction.atomic():
        return record(acting=acting, action="thing.make", target_type=kind, target_id=id_, tenant=tenant, detail=detail)


def all_that_lies_there() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(audit_auditrecord)::text FROM audit_auditrecord")
        rows = [row for (row,) in cursor.fetchall()]
    keys = [{**row, "key": bytes(row["key"] or b"").hex()} for row in SubjectKey.objects.values("subject", "key")]
    return "".join(rows) + json.dumps(keys, cls=DjangoJSONEncoder)


def read(tenant: uuid.UUID = TENANT) -> list[AuditRecord]:
    return personal.opened(queries.records(tenant.hex).order_by("seq"))


def test_names_and_addresses_lie_there_sealed_and_are_read_as_they_were() -> None:
    detail: dict[str, Any] = {"role": "viewer", "email": BOB.name, "before": {"email": "old@acme.example", "n": 1}, "list": [{"ip": "192.0.2.1"}]}  # fmt: skip
    told = write(ADA, target=BOB, **detail)
    assert (told.actor_name, told.address, told.detail) == (ADA.name, ADA.address, detail)
    key = Principal("key", "k" * 8, TENANT.hex, "ci", address="198.51.100.1")
    write(key)
    held = all_that_lies_there()
    for text in (ADA.name, BOB.name, "old@acme", "192.0.2", ADA.address, "198.51"):
        assert text not in held
    found, of_key = read()
    assert (found.actor_name, found.address, found.detail, found.erased) == (ADA.name, ADA.address, detail, False)
    assert (of_key.actor_name, of_key.address) == ("ci", "198.51.100.1")
    assert list(verify()) == []


def test_who_is_erased_is_named_nowhere_and_the_chain_still_verifies() -> None:
    write(ADA, target=BOB, email=BOB.name, role="viewer")
    write(BOB)
    write(BOB, tenant=OTHER)
    hashes = list(AuditRecord.objects.order_by("id").values_list("hash", flat=True))
    assert erase_subject(acting=ADA, name=TENANT.hex, user=BOB.id, reason="asked for")["keys"] == 1
    first, second, told = read()
    assert (first.actor_name, first.detail, first.erased) == (ADA.name, {"email": "erased", "role": "viewer"}, True)
    assert (second.actor_name, second.address, second.actor_id) == ("erased", "", BOB.id)
    assert (told.action, told.target_id, told.detail, told.actor_name) == ("audit.erase_subject", BOB.id, {"reason": "asked for", "keys": 1, "prompts": 0}, ADA.name)  # fmt: skip
    # Of another tenant's trail nothing was erased.
    assert read(OTHER)[0].actor_name == BOB.name
    assert list(AuditRecord.objects.order_by("id").values_list("hash", flat=True))[:3] == hashes
    assert list(verify()) == []
    with pytest.raises(NotFound):
        erase_subject(acting=ADA, name=TENANT.hex, user=BOB.id, reason="again")
    assert SubjectKey.objects.get(chain=TENANT.hex, subject=BOB.id).key is None
    # Who comes back gets a key of their own, and what was erased stays so.
    write(BOB)
    assert [each.actor_name for each in read()][-1] == BOB.name
    assert read()[1].actor_name == "erased"


def test_who_is_known_by_an_address_alone_is_erased_by_it() -> None:
    write(ADA, email="New@Acme.example", role="viewer")
    assert erase_subject(acting=ADA, name=TENANT.hex, email="new@acme.EXAMPLE", reason="asked for")["keys"] == 1
    assert read()[0].detail == {"email": "erased", "role": "viewer"}
    assert not SubjectKey.objects.filter(subject__startswith="email:").exists()


def test_under_a_legal_hold_nobody_is_erased() -> None:
    write(BOB)
    place_hold(acting=ADA, name=TENANT.hex, reason="Case 7")
    with pytest.raises(Conflict):
        erase_subject(acting=ADA, name=TENANT.hex, user=BOB.id, reason="asked for")
    assert read()[0].actor_name == BOB.name


def test_a_person_is_found_by_each_name_they_had_and_by_none_once_erased() -> None:
    write(ADA)
    write(person(2, "bob@acme.example"))
    write(person(2, "robert@acme.example"))

    def found(text: str) -> list[int]:
        return [each.seq for each in queries.records(TENANT.hex).filter(queries.by_actor(TENANT.hex, text))]

    def mentioned(text: str) -> list[int]:
        return [each.seq for each in queries.mentioning(TENANT.hex, queries.records(TENANT.hex), text)]

    assert found("ROBERT") == mentioned("robert") == [3, 2]
    assert found("ada@") == [1]
    erase_subject(acting=ADA, name=TENANT.hex, user=BOB.id, reason="asked for")
    assert found("robert") == mentioned("bob@acme") == []


def test_a_sealed_part_that_is_put_into_another_record_or_chain_does_not_verify() -> None:
    write(ADA)
    write(BOB)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE audit_auditrecord SET personal = (SELECT personal FROM audit_auditrecord WHERE seq = 2)")
    assert [each.seq for each in verify()] == [1]


def test_a_key_that_the_secret_box_has_lost_keeps_no_record_from_being_written(settings: Settings) -> None:
    write(ADA)
    personal._opened_keys.clear()
    settings.SECRET_BOX = SecretBox([derived_key("another")])
    write(ADA)
    assert [each.actor_name for each in read()] == ["erased", ADA.name]
    assert erase_subject(acting=BOB, name=TENANT.hex, user=ADA.id, reason="asked for")["keys"] == 2
    assert list(verify()) == []
