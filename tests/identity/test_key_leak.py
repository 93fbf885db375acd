"""`/api/v1/keys/report-leak`: whoever found a key ends it, and whoever guesses learns nothing."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity.keys import make_key
from ollamamax.identity.throttle import PACES
from tests.cast import Key, with_key

pytestmark = pytest.mark.django_db
LEAK = "/api/v1/keys/report-leak"


def report(text: str) -> tuple[int, bytes]:
    answer = APIClient(enforce_csrf_checks=True).post(LEAK, {"key": text}, format="json")
    return answer.status_code, answer.content


def test_a_key_that_was_found_is_revoked_and_told_of(owner_key: Key) -> None:
    assert report(f" {owner_key.text}\n") == (204, b"")
    owner_key.row.refresh_from_db()
    assert owner_key.row.revoked_at is not None
    assert with_key(owner_key.text).get("/api/v1/me").status_code == 401
    [told] = AuditRecord.objects.filter(action="key.report_leak")
    assert (told.chain, told.target_id) == (owner_key.acting.tenant, owner_key.row.id.hex)
    assert report(owner_key.text) == (204, b"")
    assert AuditRecord.objects.filter(action="key.report_leak").count() == 1


def test_of_what_is_no_key_nothing_is_said_and_nothing_ends(owner_key: Key) -> None:
    identifier = owner_key.text.split("_")[1]
    others = [make_key().text, f"omx_{identifier}_{'A' * 43}", "omx_", "x" * 200, make_key("node").text]
    for text in others:
        status, body = report(text)
        assert (status, body) == (204, b""), text
    assert with_key(owner_key.text).get("/api/v1/me").status_code == 200


def test_one_address_reports_so_many_at_once(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACES, "leak", PACES["leak"].__class__(2, 3600.0))
    assert [report("x")[0] for _ in range(3)] == [204, 204, 429]
