"""Group commit: records of several threads in one transaction."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, connections, transaction

from ollamamax.audit import together
from ollamamax.audit.actions import Happening, lock
from ollamamax.audit.models import AuditRecord
from ollamamax.audit.together import record_together
from ollamamax.audit.verify import verify
from ollamamax.kernel.principal import Principal

TENANT = uuid.UUID(int=7)


def happening(number: int, text: str = "x") -> Happening:
    who = Principal(
        "user", f"{number % 3 + 1:032x}", TENANT.hex, f"person-{number % 3}@example.com", address="192.0.2.1"
    )
    return Happening(who, "request.refuse", "route", str(number), {"text": text})


def in_threads(numbers: list[int], *, wrong: int = -1) -> list[AuditRecord | Exception]:
    """What each of these threads got, which all came while the chain was held by somebody else's transaction."""

    def tell(number: int) -> AuditRecord | Exception:
        try:
            return record_together(happening(number, "\0" if number == wrong else "x"), TENANT)
        except (ValueError, OperationalError) as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(numbers)) as pool:
        with transaction.atomic():
            lock(TENANT.hex)
            asked = [pool.submit(tell, number) for number in numbers]
            # One of them leads, and waits for the chain; all others wait for it.
            waits = threading.Event()
            while len(together._queues.get(TENANT.hex, ())) < len(numbers) - 1:
                waits.wait(0.01)
        return [each.result(60) for each in asked]


@pytest.mark.django_db(transaction=True)
def test_records_of_many_threads_stand_in_few_transactions_in_a_chain_without_a_hole() -> None:
    got = in_threads(list(range(12)))
    told = {each.seq: each.target_id for each in got if isinstance(each, AuditRecord)}
    assert sorted(told) == list(range(1, 13))
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq, target_id, xmin::text FROM audit_auditrecord WHERE chain = %s", [TENANT.hex])
        rows = cursor.fetchall()
    # Each thread was told of the record that is its own.
    assert {seq: target for seq, target, _ in rows} == told
    assert len({xmin for *_, xmin in rows}) == 2
    assert list(verify()) == []


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_kept_is_told_to_who_told_it_and_keeps_no_other_back() -> None:
    got = in_threads(list(range(6)), wrong=4)
    assert isinstance(got[4], ValueError)
    assert sorted(each.seq for each in got if isinstance(each, AuditRecord)) == [1, 2, 3, 4, 5]
    assert list(verify()) == []
    assert together._queues == {}


@pytest.mark.django_db(transaction=True)
def test_a_group_that_is_not_committed_is_answered_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(together, "append", away)
    with pytest.raises(OperationalError):
        record_together(happening(1), TENANT)
    monkeypatch.undo()
    assert not AuditRecord.objects.exists()
    assert record_together(happening(1), TENANT).seq == 1


@pytest.mark.django_db(transaction=True)
def test_within_a_transaction_a_record_goes_with_it() -> None:
    with transaction.atomic():
        record_together(happening(1), TENANT)
        transaction.set_rollback(True)
    assert not AuditRecord.objects.exists()
