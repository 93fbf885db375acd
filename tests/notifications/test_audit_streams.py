"""Streams of the audit trail to a real syslog server over TLS: every record at least once, whatever the server does, and in nobody's way."""

from __future__ import annotations

import datetime
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from ollamamax.audit.actions import record
from ollamamax.audit.models import AuditRecord, ChainHead
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.ids import new_id
from ollamamax.notifications.actions.streamed import LEASE, TENANT_AT_ONCE, claim_slices, finish_slice
from ollamamax.notifications.models import AuditStream
from ollamamax.notifications.streaming import stream_due
from ollamamax.outbound.addresses import Rules
from tests.cast import Person
from tests.notifications.receiver import LOCAL

pytestmark = pytest.mark.django_db(transaction=True)
STREAMS = "/api/v1/audit/streams"
HEADER = re.compile(rb"<(10[89])>1 (\S+Z) (\S+) ollamamax - (\S+) \[meta sequenceId=\"(\d+)\"\] (.*)", re.DOTALL)
CA = trustme.CA()


class Syslog:
    def __init__(self, folder: Path) -> None:
        self.file, self.certificate, self.port = folder / "taken", folder / "server.pem", 0
        issued = CA.issue_cert("127.0.0.1")
        self.certificate.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        self.process: subprocess.Popen[str] | None = None

    def start(self, after: int = 0, by: int = signal.SIGKILL) -> None:
        script = Path(__file__).with_name("syslog_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(self.port), str(self.certificate), str(self.file), str(after), str(int(by))],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def lines(self) -> list[bytes]:
        return self.file.read_bytes().splitlines() if self.file.exists() else []

    def seqs(self) -> list[int]:
        found = [HEADER.fullmatch(line) for line in self.lines()]
        return [int(each.group(5)) for each in found if each is not None]


@pytest.fixture
def syslog(tmp_path: Path, settings: Settings) -> Iterator[Syslog]:
    settings.OUTBOUND_RULES = LOCAL
    found = Syslog(tmp_path)
    yield found
    found.stop()


def stream_to(syslog: Syslog, api: APIClient, **given: Any) -> dict[str, Any]:
    authority = CA.cert_pem.bytes().decode()
    body = {
        "name": "SIEM",
        "host": "127.0.0.1",
        "port": syslog.port,
        "authority": authority,
        "from_start": True,
    } | given
    answer = api.post(STREAMS, body, format="json")
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def happen(person: Person, count: int) -> None:
    with transaction.atomic():
        for number in range(count):
            record(
                acting=person.acting, action="thing.make", target_type="thing", target_id=str(number),
                tenant=person.tenant.pk, detail={"email": f"a{number}@acme.example", "text": "ü\n|="},
            )  # fmt: skip


def of(person: Person) -> AuditStream:
    with tenant_scope(person.tenant):
        return AuditStream.objects.get()


def last(person: Person) -> int:
    return ChainHead.objects.get(chain=person.tenant.pk.hex).seq


def again(person: Person) -> int:
    """Once the pause after a failure is over."""
    with tenant_scope(person.tenant):
        AuditStream.objects.update(wait_until=None)
    return stream_due()


def test_every_record_arrives_once_in_order_with_names_and_goes_on_from_there(
    syslog: Syslog, owner: Person, owner_api: APIClient
) -> None:
    syslog.start()
    happen(owner, 3)
    made = stream_to(syslog, owner_api)
    assert stream_due() == 1
    assert syslog.seqs() == list(range(1, last(owner) + 1))
    happen(owner, 1)
    assert (stream_due(), stream_due()) == (1, 0)
    assert syslog.seqs() == list(range(1, last(owner) + 1))
    told = json.loads(HEADER.fullmatch(syslog.lines()[-1]).group(6))  # type: ignore[union-attr]
    held = AuditRecord.objects.get(chain=owner.tenant.pk.hex, seq=last(owner))
    assert (told["actor_name"], told["detail"]["email"], told["hash"]) == (owner.email, "a0@acme.example", held.hash)
    shown = owner_api.get(f"{STREAMS}/{made['id']}").json()
    assert (shown["seq"], shown["waiting"], shown["failures"], shown["missed"]) == (last(owner), 0, 0, 0)
    assert shown["succeeded_at"] is not None


@pytest.mark.parametrize("form", ["json", "cef", "ocsf"])
def test_each_form_arrives_as_one_message_of_one_line(
    syslog: Syslog, owner: Person, owner_api: APIClient, form: str
) -> None:
    syslog.start()
    happen(owner, 1)
    stream_to(syslog, owner_api, form=form)
    stream_due()
    assert len(syslog.lines()) == last(owner)
    text = HEADER.fullmatch(syslog.lines()[0]).group(6)  # type: ignore[union-attr]
    assert text.startswith(b"CEF:0|OllamaMax|") if form == "cef" else json.loads(text)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_receiver_had_not_taken_when_it_died_or_froze_is_sent_again(
    syslog: Syslog, owner: Person, owner_api: APIClient, how: signal.Signals
) -> None:
    syslog.start(after=3, by=how)
    happen(owner, 12)
    stream_to(syslog, owner_api)
    assert stream_due(seconds=1.5) == 1
    stuck = of(owner)
    assert (stuck.seq, stuck.failures, stuck.error != "") == (0, 1, True)
    assert stuck.failing_since is not None
    assert stuck.wait_until is not None
    assert stuck.wait_until > timezone.now() - datetime.timedelta(seconds=5)
    syslog.stop()
    syslog.start()
    assert again(owner) == 1
    # At least once: the first three came twice.
    assert syslog.seqs() == [1, 2, 3, *range(1, last(owner) + 1)]
    assert (of(owner).seq, of(owner).failures, of(owner).error) == (last(owner), 0, "")


def test_a_receiver_that_is_away_or_is_another_one_keeps_nobody_waiting_and_loses_nothing(
    syslog: Syslog, owner: Person, owner_api: APIClient, operator: Person, operator_api: APIClient
) -> None:
    syslog.start()
    happen(owner, 1)
    happen(operator, 1)
    other = trustme.CA().cert_pem.bytes().decode()
    stream_to(syslog, owner_api, authority=other)
    stream_to(syslog, operator_api)
    assert stream_due() == 2
    assert "certificate" in of(owner).error
    assert (of(owner).seq, of(operator).seq) == (0, last(operator))
    assert all(operator.email.encode() in line or b"a0@" in line for line in syslog.lines())
    syslog.stop()
    assert again(owner) == 1
    assert of(owner).failures == 2


def test_records_that_were_dropped_before_they_could_be_sent_are_counted(
    syslog: Syslog, owner: Person, owner_api: APIClient
) -> None:
    syslog.start()
    happen(owner, 4)
    stream_to(syslog, owner_api)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM audit_auditrecord WHERE seq <= 2 AND chain = %s", [owner.tenant.pk.hex])
    stream_due()
    assert (of(owner).missed, of(owner).seq) == (2, last(owner))


def test_a_stream_is_of_one_process_at_a_time_and_comes_back_from_one_that_died(
    syslog: Syslog, owner: Person, owner_api: APIClient
) -> None:
    syslog.start()
    happen(owner, 1)
    stream_to(syslog, owner_api)
    first, second = new_id(), new_id()
    [taken] = claim_slices(first, 8, "1")
    assert claim_slices(second, 8, "1") == []
    with tenant_scope(owner.tenant):
        AuditStream.objects.update(lease_until=timezone.now() - LEASE)
    [later] = claim_slices(second, 8, "1")
    assert later == taken
    # Who comes back too late says nothing of it any more.
    finish_slice(taken, first, "late")
    assert of(owner).failures == 0
    finish_slice(later, second)
    assert of(owner).seq == later.last


def test_streams_are_the_auditors_to_manage_and_their_addresses_are_checked(
    owner_api: APIClient, viewer_api: APIClient, stranger_api: APIClient, owner: Person, settings: Settings
) -> None:
    settings.OUTBOUND_RULES = Rules()
    body = {"name": "SIEM", "host": "127.0.0.1"}
    assert owner_api.post(STREAMS, body, format="json").status_code == 400
    for host in ("a/b", "a@b", "a:1", "http://a", "", "a b", "[::1", "10.0.0.1"):
        assert owner_api.post(STREAMS, body | {"host": host}, format="json").status_code == 400, host
    settings.OUTBOUND_RULES = LOCAL
    assert owner_api.post(STREAMS, body | {"authority": "x"}, format="json").status_code == 400
    assert owner_api.post(STREAMS, body | {"chain": "system"}, format="json").status_code == 403
    assert viewer_api.post(STREAMS, body, format="json").status_code == 403
    made = owner_api.post(STREAMS, body, format="json").json()
    assert owner_api.post(STREAMS, body, format="json").status_code == 409
    place = f"{STREAMS}/{made['id']}"
    assert stranger_api.get(place).status_code == 404
    etag = owner_api.get(place)["ETag"]
    changed = owner_api.patch(place, {"enabled": False, "form": "cef"}, format="json", headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["enabled"], changed.json()["form"]) == (200, False, "cef")
    assert stream_due() == 0
    assert owner_api.delete(place, headers={"If-Match": changed["ETag"]}).status_code == 204
    told = AuditRecord.objects.filter(chain=owner.tenant.pk.hex, target_type="audit_stream").order_by("seq")
    assert [each.action for each in told] == ["audit.create_stream", "audit.change_stream", "audit.delete_stream"]


def test_many_receivers_of_one_tenant_leave_places_for_those_of_others(
    owner: Person, stranger: Person, owner_api: APIClient, stranger_api: APIClient, syslog: Syslog
) -> None:
    syslog.port = 1
    for number in range(8):
        stream_to(syslog, owner_api, name=f"slow {number}")
    stream_to(syslog, stranger_api)
    for person in (owner, stranger):
        happen(person, 1)
    first, second = claim_slices(new_id(), 8, "1"), claim_slices(new_id(), 8, "1")
    assert (len(first), second) == (TENANT_AT_ONCE + 1, []), (
        "whoever the shuffle begins with, and in another process too"
    )
