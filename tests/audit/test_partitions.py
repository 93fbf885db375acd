"""Partitions of the audit trail: what was there before, what is dropped and after which checkpoint, and what is kept by a legal hold."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from ollamamax.audit import chain, queries
from ollamamax.audit.actions import record
from ollamamax.audit.holds import place_hold, release_hold
from ollamamax.audit.models import AuditRecord, ChainHead, Checkpoint, LegalHold
from ollamamax.audit.notes import KEY, UntrustedKey, note_heads, noted, public_key, signing_key, trusted_keys
from ollamamax.audit.retention import drop_expired, parts
from ollamamax.audit.verify import verify
from ollamamax.env import Environment
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal, system

pytestmark = pytest.mark.django_db(transaction=True)
TENANT, OTHER = uuid.UUID(int=7), uuid.UUID(int=8)
OLD, OLDER = datetime.datetime(2020, 2, 3, tzinfo=datetime.UTC), datetime.datetime(2020, 1, 3, tzinfo=datetime.UTC)
ADA = Principal("user", uuid.UUID(int=9).hex, TENANT.hex, "ada@acme.example")


def run(statement: str, *parameters: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, parameters)


@pytest.fixture(autouse=True)
def _months(tmp_path: Path) -> Iterator[None]:
    signing_key(tmp_path)
    for month in ("2020-01-01Z", "2020-02-01Z"):
        connection.cursor().execute("SELECT audit_make_partition(%s)", [month])
    yield
    for part in parts():
        if part.since.year == 2020:
            run(f"DROP TABLE {part.name}")


@pytest.fixture
def trail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tenant two records in each of two old months and one now, of another one in the second month, of the system one now."""
    times = [(OLDER, TENANT), (OLDER, TENANT), (OLD, TENANT), (OLD, OTHER), (OLD, TENANT), (timezone.now(), TENANT)]
    for number, (at, tenant) in enumerate(times):
        monkeypatch.setattr("django.utils.timezone.now", lambda at=at: at)
        with transaction.atomic():
            record(acting=ADA, action="thing.make", target_type="thing", target_id=str(number), tenant=tenant)
    monkeypatch.undo()
    with transaction.atomic():
        record(acting=system("x"), action="thing.make", target_type="thing", target_id="s", tenant=None)


def seqs(tenant: uuid.UUID = TENANT) -> list[int]:
    return list(AuditRecord.objects.filter(chain=tenant.hex).order_by("seq").values_list("seq", flat=True))


def names() -> set[str]:
    return {part.name for part in parts() if part.since.year == 2020}


def test_months_to_come_have_partitions_and_no_time_is_without_one() -> None:
    assert len([part for part in parts() if part.until > timezone.now()]) >= 4
    assert all(a.until <= b.since for a, b in zip(parts(), parts()[1:], strict=False))
    with transaction.atomic():
        record(acting=ADA, action="a.b", target_type="x", target_id="", tenant=TENANT)
    far = timezone.now() + datetime.timedelta(days=3000)
    run("UPDATE audit_auditrecord SET at = %s", far)
    connection.cursor().execute("SELECT count(*) FROM audit_auditrecord_other")
    # A partition that is made late takes what lay outside.
    connection.cursor().execute("SELECT audit_make_partition(date_trunc('month', %s, 'UTC'))", [far])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_auditrecord_other")
        assert cursor.fetchone() == (0,)
    part = parts()[-1]
    assert AuditRecord.objects.filter(at__gte=part.since, at__lt=part.until).count() == 1
    run(f"DROP TABLE {part.name}")


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {part} SET action = 'other'",
        "DELETE FROM {part}",
        "TRUNCATE {part}",
        "INSERT INTO {part} SELECT * FROM {part} WHERE seq = 2",
        "SELECT audit_drop_partition('{part}')",
        "SELECT audit_drop_partition('audit_auditrecord')",
        "SELECT audit_drop_partition('identity_user')",
    ],
)
def test_a_partition_alone_is_guarded_as_the_whole_table_is(statement: str) -> None:
    before = list(AuditRecord.objects.order_by("id").values())
    with pytest.raises(DatabaseError, match=r"audit (trail|chain)"), transaction.atomic():
        connection.cursor().execute(statement.format(part="audit_auditrecord_20200101"))
    assert list(AuditRecord.objects.order_by("id").values()) == before


@pytest.mark.usefixtures("trail")
def test_old_partitions_are_dropped_after_checkpoints_that_the_next_record_follows(tmp_path: Path) -> None:
    note_heads(tmp_path)
    assert [(each.part, each.records, each.chains, each.kept_for) for each in drop_expired(365, tmp_path)] == [
        ("audit_auditrecord_20200101", 2, 1, ""),
        ("audit_auditrecord_20200201", 3, 2, ""),
    ]
    assert names() == set()
    assert seqs() == [5, 6, 7]
    assert (
        AuditRecord.objects.filter(chain=TENANT.hex).order_by("seq")[0].prev_hash
        == Checkpoint.objects.get(chain=TENANT.hex, seq=4).hash
    )
    assert AuditRecord.objects.filter(chain="system", action="audit.drop_partition").count() == 2
    assert list(verify(noted(tmp_path), trusted_keys(tmp_path))) == []
    assert (
        queries.verify_segment(TENANT.hex, 1, trusted_keys(tmp_path)).problems
        == queries.verify_segment(OTHER.hex, 1, trusted_keys(tmp_path)).problems
        == []
    )
    assert queries.verify_segment(TENANT.hex, 1, trusted_keys(tmp_path)).begin == 5
    assert drop_expired(365, tmp_path) == []


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize("seq", range(5, 8))
@pytest.mark.parametrize("statement", ["DELETE FROM audit_auditrecord WHERE seq = %s AND chain = %s", "UPDATE audit_auditrecord SET action = 'x' WHERE seq = %s AND chain = %s"])  # fmt: skip
def test_tampering_after_a_drop_is_found_at_every_position(tmp_path: Path, statement: str, seq: int) -> None:
    drop_expired(365, tmp_path)
    run(statement, seq, TENANT.hex)
    assert any(each.chain == TENANT.hex for each in verify({}, trusted_keys(tmp_path)))
    assert queries.verify_segment(TENANT.hex, 1, trusted_keys(tmp_path)).problems


@pytest.mark.usefixtures("trail")
def test_a_checkpoint_that_somebody_else_made_counts_for_nothing(tmp_path: Path) -> None:
    drop_expired(365, tmp_path)
    mine = trusted_keys(tmp_path)
    # Whoever owns the database removes one record more and moves the checkpoint.
    [fifth] = AuditRecord.objects.filter(chain=TENANT.hex, seq=5)
    run("DELETE FROM audit_auditrecord WHERE chain = %s AND seq = 5", TENANT.hex)
    run("UPDATE audit_checkpoint SET seq = 5, hash = %s WHERE chain = %s AND seq = 4", fifth.hash, TENANT.hex)
    assert any("not signed" in str(each) for each in verify({}, mine))
    assert queries.verify_segment(TENANT.hex, 1, trusted_keys(tmp_path)).problems
    # With a key of their own, which the row names, it is well signed, and not by this installation.
    key = signing_key(tmp_path / "theirs")
    point = Checkpoint.objects.get(chain=TENANT.hex, seq=5)
    point.key = key.public_key().public_bytes_raw().hex()
    run("UPDATE audit_checkpoint SET key = %s, signature = %s WHERE id = %s", point.key, key.sign(chain.canonical(point.signed())).hex(), point.pk)  # fmt: skip
    assert any("not signed" in str(each) for each in verify({}, mine))
    found = queries.verify_segment(TENANT.hex, 1, mine).problems
    assert any("not signed" in str(each) for each in found)
    assert any("missing" in str(each) for each in found)


@pytest.mark.usefixtures("trail")
def test_nothing_is_dropped_by_a_key_that_nobody_knows_and_a_pinned_one_counts_elsewhere(
    tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(UntrustedKey):
        drop_expired(365, tmp_path / "new")
    assert not (tmp_path / "new" / KEY).exists()
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_AUDIT_KEYS": [public_key(tmp_path)]})
    signing_key(tmp_path / "other")
    with pytest.raises(UntrustedKey):
        drop_expired(365, tmp_path / "other")
    assert names() == {"audit_auditrecord_20200101", "audit_auditrecord_20200201"}
    drop_expired(365, tmp_path)
    # A program elsewhere, without the file of the key, goes by what was pinned.
    assert queries.verify_segment(TENANT.hex, 1, trusted_keys(tmp_path / "elsewhere")).problems == []
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_AUDIT_KEYS": []})
    assert queries.verify_segment(TENANT.hex, 1, trusted_keys(tmp_path / "elsewhere")).problems


@pytest.mark.usefixtures("trail")
def test_a_partition_that_does_not_verify_is_not_dropped(tmp_path: Path) -> None:
    run("UPDATE audit_auditrecord SET action = 'x' WHERE chain = %s AND seq = 2", TENANT.hex)
    [kept] = drop_expired(365, tmp_path)
    assert "does not verify" in kept.kept_for
    assert names() == {"audit_auditrecord_20200101", "audit_auditrecord_20200201"}
    assert not Checkpoint.objects.exists()


@pytest.mark.usefixtures("trail")
def test_a_legal_hold_keeps_its_chains_records_until_it_is_released(tmp_path: Path) -> None:
    hold = place_hold(acting=ADA, name=OTHER.hex, reason="Case 7")
    with pytest.raises(NotFound):
        release_hold(acting=ADA, name=TENANT.hex, hold_id=hold.pk)
    dropped, kept = drop_expired(365, tmp_path)
    assert (dropped.kept_for, kept.kept_for) == ("", "1 legal holds")
    assert names() == {"audit_auditrecord_20200201"}
    release_hold(acting=ADA, name=OTHER.hex, hold_id=hold.pk)
    release_hold(acting=ADA, name=OTHER.hex, hold_id=hold.pk)
    assert [each.kept_for for each in drop_expired(365, tmp_path)] == [""]
    told = AuditRecord.objects.filter(chain=OTHER.hex, action__startswith="audit.").order_by("seq")
    assert [each.action for each in told] == ["audit.place_hold", "audit.release_hold", "audit.drop_partition"]
    assert LegalHold.objects.get().released_at is not None
    assert list(verify({}, trusted_keys(tmp_path))) == []


def test_a_clock_that_goes_back_puts_no_record_before_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction.atomic():
        first = record(acting=ADA, action="a.b", target_type="x", target_id="", tenant=TENANT)
    monkeypatch.setattr("django.utils.timezone.now", lambda: OLD)
    with transaction.atomic():
        second = record(acting=ADA, action="a.b", target_type="x", target_id="", tenant=TENANT)
    assert second.at == first.at


def test_chains_of_the_release_before_are_taken_over_and_verify_and_go_on() -> None:
    call_command("migrate", "audit", "0002", verbosity=0)
    columns = "chain, seq, at, actor_kind, actor_id, actor_name, action, target_type, target_id, request, detail, prev_hash, hash"

    def write_as_before(seq: int, at: datetime.datetime, previous: str) -> str:
        row: dict[str, Any] = {
            "chain": TENANT.hex, "seq": seq, "at": at, "actor_kind": "user", "actor_id": ADA.id, "actor_name": ADA.name,
            "action": "a.b", "target_type": "x", "target_id": "y", "request": "", "detail": {"n": 1.5},
            "prev_hash": previous, "format": 1,
        }  # fmt: skip
        row["hash"] = chain.digest(row)
        values = [
            chain.canonical(row[each]).decode() if each == "detail" else row[each] for each in columns.split(", ")
        ]
        connection.cursor().execute(
            f"INSERT INTO audit_auditrecord ({columns}) VALUES ({', '.join(['%s'] * len(values))})", values
        )
        return str(row["hash"])

    first = write_as_before(1, OLDER, chain.GENESIS)
    second = write_as_before(2, OLD, first)
    call_command("migrate", "audit", verbosity=0)
    assert [(each.seq, each.format, each.actor_name) for each in AuditRecord.objects.order_by("seq")] == [(1, 1, ADA.name), (2, 1, ADA.name)]  # fmt: skip
    assert ChainHead.objects.get().at == OLD
    # A program of the release before goes on while this one is there already.
    write_as_before(3, OLD, second)
    with transaction.atomic():
        assert record(acting=ADA, action="a.b", target_type="x", target_id="", tenant=TENANT).seq == 4
    assert list(verify()) == []
    run("UPDATE audit_auditrecord SET format = 2 WHERE seq = 1")
    assert [each.seq for each in verify()] == [1]
    run("UPDATE audit_auditrecord SET format = 3 WHERE seq = 1")
    assert [each.seq for each in verify()] == [1]
