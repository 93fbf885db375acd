"""`manage.py audit verify` against a superuser who switches the triggers off."""

from __future__ import annotations

import json
import uuid
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from pytest_django import Settings

from ollamamax.audit import chain
from ollamamax.audit.actions import record
from ollamamax.audit.models import AuditRecord
from ollamamax.audit.notes import FILE, KEY, note_heads
from ollamamax.audit.verify import verify
from ollamamax.kernel.principal import system

pytestmark = pytest.mark.django_db(transaction=True)
TENANT = uuid.UUID(int=7)
OTHER = uuid.UUID(int=8)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, settings: Settings) -> None:
    settings.HOME = tmp_path / "home"


@pytest.fixture(autouse=True)
def _trail() -> None:
    """Five records of one tenant, two of another."""
    for tenant, count in ((TENANT, 5), (OTHER, 2)):
        for number in range(1, count + 1):
            with transaction.atomic():
                record(
                    acting=system("test"), action="thing.make", target_type="thing", target_id=str(number),
                    tenant=tenant, detail={"number": number},
                )  # fmt: skip


def tamper(*statements: str) -> None:
    """As a superuser who is not stopped by triggers."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement.replace("{chain}", TENANT.hex))


def run(*arguments: str) -> tuple[int, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("audit", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(str(end.code)), err.getvalue()
    return 0, out.getvalue()


def test_a_whole_trail_is_found_whole() -> None:
    assert run("verify") == (0, "The audit trail is whole: 7 records, 2 chains.\n")


ROW = "FROM audit_auditrecord WHERE chain = '{chain}' AND seq"
INSERT = (
    "INSERT INTO audit_auditrecord (chain, seq, at, actor_kind, actor_id, actor_name, action, target_type, target_id,"
    " request, detail, prev_hash, hash) SELECT chain, {seq}, at, actor_kind, actor_id, actor_name, action, target_type,"
    " target_id, request, detail, prev_hash, hash " + ROW
)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            ["UPDATE audit_auditrecord SET detail = '{\"number\": 9}' WHERE chain = '{chain}' AND seq = 3"],
            "record 3: alt",
        ),
        (["UPDATE audit_auditrecord SET actor_name = 'x' WHERE chain = '{chain}' AND seq = 5"], "record 5: altered"),
        (["UPDATE audit_auditrecord SET at = at + interval '1 microsecond' WHERE seq = 1"], "record 1: altered"),
        (["UPDATE audit_auditrecord SET request = 'x' WHERE chain = '{chain}' AND seq = 2"], "record 2: altered"),
        ([f"DELETE {ROW} = 3"], "record 3: missing"),
        ([f"DELETE {ROW} = 1"], "record 1: missing"),
        ([f"DELETE {ROW} = 5"], "record 4: is not the end: the head says 5"),
        ([f"DELETE {ROW} > 0"], "record 0: is not the end"),
        (
            [f"DELETE {ROW} = 5", "UPDATE audit_chainhead SET seq = 4 WHERE chain = '{chain}'"],
            "record 4: is not the end",
        ),
        (["DELETE FROM audit_chainhead WHERE chain = '{chain}'"], "record 5: the chain's head is missing"),
        ([INSERT.replace("{seq}", "6") + " = 5"], "record 6: does not follow"),
        (
            [
                "UPDATE audit_auditrecord SET seq = 99 WHERE chain = '{chain}' AND seq = 2",
                "UPDATE audit_auditrecord SET seq = 2 WHERE chain = '{chain}' AND seq = 3",
                "UPDATE audit_auditrecord SET seq = 3 WHERE chain = '{chain}' AND seq = 99",
            ],
            "record 2: does not follow",
        ),
        (
            # With another time it is no duplicate to the index, which knows numbers within a time only.
            [INSERT.replace("{seq}, at,", "3, at + interval '1 second',") + " = 3"],
            "record 3: inserted",
        ),
        (["UPDATE audit_auditrecord SET chain = 'system' WHERE chain = '{chain}'"], "chain system"),
    ],
)
def test_tampering_is_found_and_named(statements: list[str], said: str) -> None:
    tamper(*statements)
    code, text = run("verify")
    assert code == 1
    assert said in text
    assert "tampered" in text
    # Where stretches of two records are checked each by itself, a hole is told of in each of them.
    apart = "\n".join(map(str, verify(length=2)))
    assert said in apart or ("DELETE" in statements[0] and "missing" in apart)


def test_several_processes_find_what_one_finds() -> None:
    assert list(verify(processes=2, length=2)) == []
    for change in (
        "detail = '{}' WHERE chain = '{chain}' AND seq = 5",
        "prev_hash = hash WHERE chain = '{chain}' AND seq = 3",
    ):
        tamper(f"UPDATE audit_auditrecord SET {change}")
    found = list(verify(processes=2, length=2))
    assert found == list(verify(length=2)) == list(verify())
    assert {each.seq for each in found} == {3, 5}


def test_a_chain_rewritten_with_its_head_is_found_by_heads_that_were_noted(tmp_path: Path) -> None:
    noted = tmp_path / "heads.json"
    noted.write_text(run("heads")[1])
    assert json.loads(noted.read_text())[TENANT.hex][0] == 5
    assert run("verify", "--heads", str(noted))[0] == 0
    tamper(
        f"DELETE {ROW} = 5",
        f"UPDATE audit_chainhead SET seq = 4, hash = (SELECT hash {ROW} = 4) WHERE chain = '{{chain}}'",
    )
    assert run("verify")[0] == 0
    code, text = run("verify", "--heads", str(noted))
    assert code == 1
    assert "5 was noted outside the database" in text


def test_a_chain_removed_with_its_head_is_found_by_heads_that_were_noted(tmp_path: Path) -> None:
    noted = tmp_path / "heads.json"
    noted.write_text(run("heads")[1])
    tamper(f"DELETE {ROW} > 0", "DELETE FROM audit_chainhead WHERE chain = '{chain}'")
    assert run("verify", "--heads", str(noted))[0] == 1


@pytest.mark.parametrize("kept", range(5))
def test_a_tail_cut_off_with_its_head_moved_is_found_by_the_signed_notes(kept: int, settings: Settings) -> None:
    assert note_heads(settings.HOME / "audit") == 2
    assert note_heads(settings.HOME / "audit") == 0
    assert run("verify")[0] == 0
    head = f"UPDATE audit_chainhead SET seq = {kept}, hash = (SELECT hash {ROW} = {kept}) WHERE chain = '{{chain}}'"
    gone = "DELETE FROM audit_chainhead WHERE chain = '{chain}'"
    tamper(f"DELETE {ROW} > {kept}", head if kept else gone)
    code, text = run("verify")
    assert code == 1
    assert "5 was noted outside the database" in text


def write_anew(seq: int) -> None:
    """As whoever owns the database can: another name in one record, and every hash from there on computed again, the head's too."""
    previous = chain.GENESIS
    for row in list(AuditRecord.objects.filter(chain=TENANT.hex).order_by("seq").values()):
        if row["seq"] == seq:
            row["actor_name"] = "somebody else"
        row["prev_hash"], previous = previous, chain.digest({**row, "prev_hash": previous})
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            AuditRecord.objects.filter(pk=row["id"]).update(
                actor_name=row["actor_name"], prev_hash=row["prev_hash"], hash=previous
            )
    tamper(f"UPDATE audit_chainhead SET hash = '{previous}' WHERE chain = '{{chain}}'")


@pytest.mark.parametrize("seq", range(1, 6))
def test_a_chain_written_anew_from_any_record_on_is_found_by_the_signed_notes(seq: int, settings: Settings) -> None:
    note_heads(settings.HOME / "audit")
    write_anew(seq)
    code, text = run("verify")
    assert code == 1
    assert "is not the record that was noted" in text


def test_a_chain_that_was_written_anew_and_noted_again_is_found_by_the_notes_before(settings: Settings) -> None:
    note_heads(settings.HOME / "audit")
    write_anew(2)
    with transaction.atomic():
        record(
            acting=system("test"), action="thing.make", target_type="thing", target_id="6", tenant=TENANT, detail={}
        )  # fmt: skip
    assert note_heads(settings.HOME / "audit") == 1
    code, text = run("verify")
    assert code == 1
    assert f"chain {TENANT.hex}, record 5: is not the record that was noted" in text


def test_notes_that_were_altered_or_taken_from_the_middle_are_found(settings: Settings) -> None:
    folder = settings.HOME / "audit"
    note_heads(folder)
    file = folder / FILE
    assert file.stat().st_mode & 0o777 == (folder / KEY).stat().st_mode & 0o777 == 0o600
    first, second = file.read_bytes().splitlines(keepends=True)
    for altered in (first.replace(b'"seq":5', b'"seq":4') + second, second, second + first, first + b"{}\n", b"x"):
        if altered == first + second:
            continue
        file.write_bytes(altered)
        assert run("verify")[0] == 1


def test_a_file_that_is_no_list_of_heads_is_refused(tmp_path: Path) -> None:
    noted = tmp_path / "heads.json"
    for text in ("", "[]", '{"x": 1}', '{"x": ["a", "b"]}'):
        noted.write_text(text)
        with pytest.raises(CommandError, match="is not a file"):
            run("verify", "--heads", str(noted))
