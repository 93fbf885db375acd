"""Writing the audit trail."""

from __future__ import annotations

import datetime
import math
import uuid
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.audit import chain
from ollamamax.audit.actions import record
from ollamamax.audit.hidden import without_secrets
from ollamamax.audit.models import AuditRecord, ChainHead
from ollamamax.audit.verify import verify
from ollamamax.kernel.principal import system

TENANT = uuid.UUID(int=7)


def write(action: str = "thing.make", tenant: uuid.UUID | str | None = TENANT, **detail: Any) -> AuditRecord:
    return record(
        acting=system("test"), action=action, target_type="thing", target_id="1", tenant=tenant, detail=detail
    )


@pytest.mark.django_db
def test_records_of_a_chain_are_numbered_from_one_and_hold_the_hash_before() -> None:
    first, second = write(), write()
    assert (first.seq, second.seq) == (1, 2)
    assert first.prev_hash == chain.GENESIS
    assert second.prev_hash == first.hash
    assert ChainHead.objects.get(chain=TENANT.hex).hash == second.hash


_DETAILS = st.recursive(
    st.just("s3cr3t") | st.booleans() | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["before", "after", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    _DETAILS,
    st.sampled_from(["secret", "client_secret", "previous_password", "api_key", "token", "sealed_token", "Secret"]),
)
def test_what_is_called_a_secret_is_told_nowhere_however_deep(value: Any, name: str) -> None:
    told = without_secrets(
        {"name": "kept", "before": [{name: "s3cr3t"}], "after": {"x": {name: ["s3cr3t", 1]}}, "max_tokens": 7}
    )
    assert told == {"name": "kept", "before": [{name: "hidden"}], "after": {"x": {name: "hidden"}}, "max_tokens": 7}
    # Whether there is one stays to be seen, and what is called otherwise stays as it is.
    assert without_secrets({name: value}) == {name: "hidden" if value and isinstance(value, str | list) else value}
    assert without_secrets({"note": value}) == {"note": value}


@pytest.mark.django_db
def test_a_record_holds_no_secret_that_whoever_wrote_it_forgot() -> None:
    assert write(before={"secret": "a"}, after={"secret": "b"}).detail == {
        "before": {"secret": "hidden"},
        "after": {"secret": "hidden"},
    }


@pytest.mark.django_db
def test_each_tenant_has_a_chain_and_the_system_too() -> None:
    assert write().chain == TENANT.hex
    assert write(tenant=str(TENANT)).chain == TENANT.hex
    assert write(tenant=None).chain == "system"
    assert write(tenant=None).seq == 2
    with pytest.raises(ValueError, match="badly formed"):
        write(tenant="system")


@pytest.mark.django_db(transaction=True)
def test_a_record_outside_a_transaction_is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        write()


@pytest.mark.django_db(transaction=True)
def test_a_record_goes_when_its_change_is_rolled_back() -> None:
    with transaction.atomic():
        write()
        transaction.set_rollback(True)
    assert not AuditRecord.objects.exists()
    assert not ChainHead.objects.exists()


DETAILS: list[Any] = [
    {},
    {"b": 1, "a": [1, 2.5, None, True], "ü": "ß\u2028\U0001f600"},
    {"float": 1000.0, "exponent": 1e22, "small": 1e-7, "third": 1 / 3, "big": 10**30, "minus zero": -0.0},
    {"at": datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)},
    {"nested": {"z": {"y": [[], {}]}}},
    {"tuple": (1, 2)},
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("detail", DETAILS)
def test_what_comes_back_from_postgres_has_the_hash_it_was_written_with(detail: dict[str, Any]) -> None:
    with transaction.atomic():
        write(**detail)
    assert list(verify()) == []


@pytest.mark.django_db
@pytest.mark.parametrize("value", [math.inf, math.nan, "a\0b", "\ud800", b"x", {1: 2}, object(), {"a\0": 1}])
def test_what_cannot_be_kept_exactly_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        write(value=value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_canonical_json_is_a_fixed_point(value: Any) -> None:
    import json

    try:
        once = chain.canonical(value)
    except ValueError:
        return
    assert chain.canonical(json.loads(once)) == once


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditrecord SET action = 'other'",
        "UPDATE audit_auditrecord SET action = 'other' WHERE false",
        "DELETE FROM audit_auditrecord",
        "TRUNCATE audit_auditrecord",
        "TRUNCATE audit_auditrecord, audit_chainhead CASCADE",
        "UPDATE audit_chainhead SET seq = 1",
        "DELETE FROM audit_chainhead",
        "TRUNCATE audit_chainhead",
        "INSERT INTO audit_chainhead (chain, seq, hash) VALUES ('other', 1, 'x')",
        "INSERT INTO audit_auditrecord SELECT 99, chain, 5, at, actor_kind, actor_id, actor_name, action, target_type,"
        " target_id, request, detail, prev_hash, hash FROM audit_auditrecord WHERE seq = 1",
        "INSERT INTO audit_auditrecord SELECT 99, chain, 3, at, actor_kind, actor_id, actor_name, action, target_type,"
        " target_id, request, detail, prev_hash, hash FROM audit_auditrecord WHERE seq = 1",
        "MERGE INTO audit_auditrecord a USING audit_chainhead h ON a.chain = h.chain WHEN MATCHED THEN DELETE",
    ],
)
def test_the_database_itself_refuses_everything_but_the_next_record(statement: str) -> None:
    write()
    write()
    before = list(AuditRecord.objects.order_by("id").values())
    with (
        pytest.raises(DatabaseError, match=r"audit (trail|chain)"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert list(AuditRecord.objects.order_by("id").values()) == before


@pytest.mark.django_db(transaction=True)
def test_the_migration_can_be_undone_and_done_again() -> None:
    from django.core.management import call_command

    call_command("migrate", "audit", "zero", verbosity=0)
    call_command("migrate", "audit", verbosity=0)
    with transaction.atomic():
        write()
    assert list(verify()) == []
