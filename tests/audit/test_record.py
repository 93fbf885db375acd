"""Writing the audit trail."""

from __future__ import annotations

import uuid

import pytest
from django.db import transaction

from ollamamax.audit.actions import record
from ollamamax.audit.models import AuditRecord, ChainHead
from ollamamax.kernel.principal import system

TENANT = uuid.UUID(int=7)


def write(action: str = "thing.made", tenant: uuid.UUID | None = TENANT, **detail: object) -> AuditRecord:
    return record(
        acting=system("test"), action=action, target_type="thing", target_id="1", tenant=tenant, detail=detail
    )


@pytest.mark.django_db
def test_records_of_a_chain_are_numbered_from_one_and_hold_the_hash_before() -> None:
    first, second = write(), write()
    assert (first.seq, second.seq) == (1, 2)
    assert second.prev_hash == first.hash
    assert ChainHead.objects.get(chain=TENANT.hex).hash == second.hash


@pytest.mark.django_db(transaction=True)
def test_a_record_outside_a_transaction_is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        write()
