"""`/api/v1/audit`: search, export, verify; of one's own tenant, and of the installation for its operator."""

from __future__ import annotations

import csv
import io
import json
import uuid
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from ollamamax.audit import queries
from ollamamax.audit.actions import chain_of, record
from ollamamax.audit.models import AuditRecord
from ollamamax.identity.actions.refusal import AT_ONCE, tell_refusal
from ollamamax.kernel.principal import system
from tests.cast import Person, logged_in, make_person

pytestmark = pytest.mark.django_db
AUDIT = "/api/v1/audit"


def note(person: Person, number: int, action: str = "key.issue", **more: Any) -> None:
    record(
        acting=person.acting,
        action=action,
        target_type="key",
        target_id=f"k-{number}",
        tenant=person.tenant.id,
        detail={"number": number, **more},
    )


@pytest.fixture
def auditor_api(owner: Person) -> APIClient:
    return logged_in(make_person(owner.tenant, "auditor", "auditor"))


def seqs(caller: APIClient, /, **query: Any) -> list[int]:
    answer = caller.get(AUDIT, query)
    assert answer.status_code == 200, answer.json()
    return [each["seq"] for each in answer.json()["results"]]


def test_the_trail_is_searched_by_who_may_in_their_own_tenant(
    owner: Person,
    auditor_api: APIClient,
    viewer_api: APIClient,
    stranger_api: APIClient,
    anonymous_api: APIClient,
) -> None:
    before = AuditRecord.objects.filter(chain=chain_of(owner.tenant.id)).count()
    note(owner, 1)
    note(owner, 2, "key.revoke")
    note(owner, 3, "model.publish")
    mine = range(before + 1, before + 4)
    assert seqs(auditor_api)[:3] == list(mine)[::-1]
    assert seqs(auditor_api, action="key.") == [mine[1], mine[0]]
    assert seqs(auditor_api, action="key.revoke") == [mine[1]]
    assert seqs(auditor_api, target_id="k-3") == [mine[2]]
    assert seqs(auditor_api, actor="OWNER@", target_type="key") == list(mine)[::-1]
    assert seqs(auditor_api, request="test-request", target_id="k-1") == [mine[0]]
    assert seqs(auditor_api, until="2001-01-01T00:00:00Z") == []
    theirs = stranger_api.get(AUDIT).json()["results"]
    assert all(each["target_id"] != "k-1" for each in theirs)
    assert (viewer_api.get(AUDIT).status_code, anonymous_api.get(AUDIT).status_code) == (403, 401)
    assert auditor_api.get(AUDIT, {"action": "Key"}).status_code == 400


@pytest.mark.parametrize("path", [AUDIT, f"{AUDIT}/export", f"{AUDIT}/verify"])
def test_the_installations_chain_is_its_operators(
    operator_api: APIClient, owner_api: APIClient, viewer_api: APIClient, anonymous_api: APIClient, path: str
) -> None:
    query = {"chain": "system"}
    assert operator_api.get(path, query).status_code == 200
    assert owner_api.get(path, query).status_code == 403
    assert owner_api.get(path).status_code == 200
    assert viewer_api.get(path).status_code == 403
    assert anonymous_api.get(path).status_code == 401


def test_a_file_has_all_that_matches_the_oldest_first(
    owner: Person, auditor_api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollamamax.identity.api.audit.PAGE", 2)
    for number in range(5):
        note(owner, number, said="=HYPERLINK(1)")
    lines = auditor_api.get(f"{AUDIT}/export", {"action": "key."}).getvalue().splitlines()
    assert [json.loads(line)["detail"]["number"] for line in lines] == [0, 1, 2, 3, 4]
    answer = auditor_api.get(f"{AUDIT}/export", {"action": "key.", "form": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode(), newline="")))
    assert [row["target_id"] for row in rows] == [f"k-{number}" for number in range(5)]
    assert json.loads(rows[0]["detail"]) == {"number": 0, "said": "=HYPERLINK(1)"}
    assert answer["Content-Disposition"] == 'attachment; filename="audit.csv"'
    for form, name, begin in (
        ("cef", "audit.cef", b"CEF:0|OllamaMax|"),
        ("ocsf", "audit.ocsf.jsonl", b'{"activity_id"'),
    ):
        answer = auditor_api.get(f"{AUDIT}/export", {"action": "key.", "form": form})
        lines = answer.getvalue().splitlines()
        assert (len(lines), all(line.startswith(begin) for line in lines)) == (5, True)
        assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
        assert answer["Content-Type"] == "text/plain; charset=utf-8"


def alter(seq: int, chain: str, **changes: Any) -> None:
    """As whoever owns the database may."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
    AuditRecord.objects.filter(chain=chain, seq=seq).update(**changes)


def verified(api: APIClient) -> tuple[list[int], list[int]]:
    """The numbers of what is wrong, and where each segment began."""
    wrong, begins, begin = [], [], 1
    while True:
        found = api.get(f"{AUDIT}/verify", {"begin": begin}).json()
        begins.append(begin)
        wrong += [each["seq"] for each in found["problems"]]
        assert found["intact"] == (not found["problems"])
        if found["next"] is None:
            return wrong, begins
        begin = found["next"]


@pytest.mark.parametrize("size", [2, 3, 100])
def test_each_segment_is_verified_and_what_was_altered_is_named(
    owner: Person, auditor_api: APIClient, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(queries, "SEGMENT", size)
    for number in range(6):
        note(owner, number)
    chain = chain_of(owner.tenant.id)
    last = AuditRecord.objects.filter(chain=chain).count()
    wrong, begins = verified(auditor_api)
    assert (wrong, begins) == ([], list(range(1, last + 1, size)))
    for seq in range(1, last + 1):
        held = AuditRecord.objects.get(chain=chain, seq=seq)
        alter(seq, chain, actor_name="somebody else")
        assert verified(auditor_api)[0] == [seq]
        alter(seq, chain, actor_name=held.actor_name, hash="0" * 64)
        assert seq in verified(auditor_api)[0]
        alter(seq, chain, hash=held.hash)
    assert verified(auditor_api)[0] == []


def test_what_was_removed_is_named(owner: Person, auditor_api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "SEGMENT", 3)
    for number in range(6):
        note(owner, number)
    chain = chain_of(owner.tenant.id)
    last = AuditRecord.objects.filter(chain=chain).count()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
    AuditRecord.objects.filter(chain=chain, seq=last - 1).delete()
    assert last - 1 in verified(auditor_api)[0]
    AuditRecord.objects.filter(chain=chain, seq=last).delete()
    assert verified(auditor_api)[0]


def test_an_empty_chain_is_intact(operator_api: APIClient, owner: Person) -> None:
    assert queries.verify_segment("0" * 32, 1, ()) == queries.Segment(1, 0, 0, [])
    record(acting=system("x"), action="a.b", target_type="x", target_id="", tenant=None)
    assert operator_api.get(f"{AUDIT}/verify", {"chain": "system"}).json()["intact"]


def test_one_record_is_read_by_its_number_and_found_by_what_it_says(
    owner: Person, owner_api: APIClient, operator_api: APIClient, stranger_api: APIClient, viewer_api: APIClient
) -> None:
    note(owner, 71, "key.change", name="ci", before={"name": "Jenkins"})
    (seq,) = seqs(owner_api, search="jenkins")
    assert seqs(owner_api, search="KEY.CHANGE") == seqs(owner_api, search="k-71") == [seq]
    assert seqs(owner_api, search="no such thing") == []
    found = owner_api.get(f"{AUDIT}/{seq}")
    assert (found.json()["target_id"], found.json()["detail"]["before"]) == ("k-71", {"name": "Jenkins"})
    export: Any = owner_api.get(f"{AUDIT}/export", {"search": "jenkins"})
    assert json.loads(b"".join(export.streaming_content))["seq"] == seq
    others = [stranger_api.get(f"{AUDIT}/{seq}"), owner_api.get(f"{AUDIT}/{2**70}")]
    assert all(each.status_code == 404 or each.json()["target_id"] != "k-71" for each in others)
    assert viewer_api.get(f"{AUDIT}/{seq}").status_code == 403
    assert owner_api.get(f"{AUDIT}/1", {"chain": "system"}).status_code == 403


def test_what_is_changed_is_told_with_what_it_was_before(owner_api: APIClient) -> None:
    before = owner_api.get("/api/v1/tenant").json()
    owner_api.patch("/api/v1/tenant", {"name": "Other", "show_route": not before["show_route"]}, format="json")
    (record,) = owner_api.get(AUDIT, {"action": "tenant.change"}).json()["results"]
    assert record["detail"] == {
        "name": "Other",
        "show_route": not before["show_route"],
        "before": {"name": before["name"], "show_route": before["show_route"]},
    }


def test_who_manages_the_trail_holds_it_and_erases_a_person_and_an_auditor_only_looks(
    owner: Person, owner_api: APIClient, auditor_api: APIClient, viewer_api: APIClient, stranger_api: APIClient
) -> None:
    bob = make_person(owner.tenant, "bob", "member")
    note(bob, 1)
    (found,) = auditor_api.get(AUDIT, {"target_id": "k-1"}).json()["results"]
    assert (found["actor_name"], found["format"], found["outcome"], found["erased"]) == (bob.email, 2, "ok", False)
    assert seqs(auditor_api, actor="BOB@") == [found["seq"]]
    asked = {"user": str(bob.user.id), "reason": "asked for"}
    for path, body in (("erasures", asked), ("holds", {"reason": "x"})):
        assert auditor_api.post(f"{AUDIT}/{path}", body, format="json").status_code == 403
        assert viewer_api.post(f"{AUDIT}/{path}", body, format="json").status_code == 403
        assert owner_api.post(f"{AUDIT}/{path}", body | {"chain": "system"}, format="json").status_code == 403
    assert stranger_api.post(f"{AUDIT}/erasures", asked, format="json").status_code == 404
    hold = owner_api.post(f"{AUDIT}/holds", {"reason": "Case 7"}, format="json").json()
    assert auditor_api.get(f"{AUDIT}/retention").json() == {"days": 0, "held": True, "checkpoints": []}
    assert [each["id"] for each in auditor_api.get(f"{AUDIT}/holds").json()["results"]] == [hold["id"]]
    assert stranger_api.get(f"{AUDIT}/holds").json()["results"] == []
    assert owner_api.post(f"{AUDIT}/erasures", asked, format="json").status_code == 409
    release = f"{AUDIT}/holds/{hold['id']}/release"
    assert stranger_api.post(release, {}, format="json").status_code == 404
    assert owner_api.post(release, {}, format="json").json()["released_at"] is not None
    assert owner_api.post(f"{AUDIT}/erasures", {"reason": "x"}, format="json").status_code == 400
    assert owner_api.post(f"{AUDIT}/erasures", asked, format="json").json() == {"keys": 1, "prompts": 0}
    shown = auditor_api.get(f"{AUDIT}/{found['seq']}").json()
    assert (shown["actor_name"], shown["address"], shown["erased"], shown["hash"]) == (
        "erased",
        "",
        True,
        found["hash"],
    )
    assert seqs(auditor_api, actor="bob@") == []
    export: Any = auditor_api.get(f"{AUDIT}/export", {"target_id": "k-1"})
    assert json.loads(b"".join(export.streaming_content))["actor_name"] == "erased"
    assert verified(auditor_api)[0] == []


def test_records_tell_from_where_and_whether_it_was_refused(owner_api: APIClient, auditor_api: APIClient) -> None:
    owner_api.patch("/api/v1/tenant", {"name": "Other"}, format="json", REMOTE_ADDR="203.0.113.9")
    (found,) = auditor_api.get(AUDIT, {"action": "tenant.change"}).json()["results"]
    assert (found["address"], found["outcome"]) == ("203.0.113.9", "ok")
    assert seqs(auditor_api, action="tenant.change", outcome="refused") == []


def test_what_is_refused_is_on_record_with_who_asked_for_what_and_from_where(
    owner: Person, viewer_api: APIClient, auditor_api: APIClient
) -> None:
    before = auditor_api.get(AUDIT, {"outcome": "refused"}).json()["results"]
    answer = viewer_api.delete(f"/api/v1/budgets/{uuid.UUID(int=5)}", REMOTE_ADDR="192.0.2.9")
    assert answer.status_code == 403
    found = auditor_api.get(AUDIT, {"outcome": "refused"}).json()["results"]
    assert len(found) == len(before) + 1
    told = found[0]
    assert (told["action"], told["target_type"], told["target_id"]) == (
        "request.refuse",
        "route",
        "api/v1/budgets/<uuid:budget_id>",
    )
    assert told["detail"] == {"method": "DELETE", "refused": 1, "permission": "budget.manage"}
    assert (told["address"], told["request"]) == ("192.0.2.9", answer["X-Request-ID"])
    assert told["actor_name"].startswith("viewer@")


def test_who_is_refused_very_often_is_told_of_by_number(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("ollamamax.identity.actions.refusal.time.monotonic", lambda: now)
    asks = {"method": "POST", "route": "api/v1/keys", "permission": "key.issue"}
    told = [tell_refusal(owner.acting, **asks) for _ in range(int(AT_ONCE) + 5)]
    assert told == [True] * int(AT_ONCE) + [False] * 5
    now += 1.0
    assert tell_refusal(owner.acting, **asks)
    last = AuditRecord.objects.filter(chain=chain_of(owner.tenant.id)).order_by("-seq").first()
    assert last is not None
    assert last.detail["refused"] == 6
