"""Trying many passwords is slow: on one account, from one address, and on many accounts; and nobody is locked out by it."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.identity import throttle
from ollamamax.identity.actions import attempt
from ollamamax.identity.models import LogInCounter
from ollamamax.identity.throttle import PACES, TRUSTED_DAYS
from ollamamax.kernel.errors import Overloaded
from tests.cast import PASSWORD, Person
from tests.identity.test_api_session import SESSION, Browser

KINDS = sorted(PACES)


def log_in(email: str, password: str = "wrong-password", address: str = "192.0.2.1") -> int:
    browser = Browser()
    token = browser.cookies["csrftoken"].value
    answer = browser.generic(
        "POST", SESSION, json.dumps({"email": email, "password": password}), content_type="application/json",
        HTTP_X_CSRFTOKEN=token, REMOTE_ADDR=address,
    )  # fmt: skip
    if answer.status_code == 429:
        assert int(answer["Retry-After"]) > 0
    status: int = answer.status_code
    return status


def tries(count: int, one: Callable[[int], int]) -> list[int]:
    return [one(number) for number in range(count)]


def later(**by: float) -> None:
    """As if that much time had gone by since all that was counted."""
    for counter in LogInCounter.objects.all():
        counter.at -= datetime.timedelta(**by)
        counter.expires_at -= datetime.timedelta(**by)
        if counter.told_at is not None:
            counter.told_at -= datetime.timedelta(**by)
        if counter.trusted_until is not None:
            counter.trusted_until -= datetime.timedelta(**by)
        counter.save()


@pytest.mark.django_db
def test_one_password_for_many_users_from_one_address_is_slowed(owner: Person) -> None:
    burst = PACES["address"].burst
    assert tries(burst, lambda number: log_in(f"user{number}@acme.example")) == [401] * burst
    assert log_in("another@acme.example") == 429
    assert log_in(owner.email, PASSWORD) == 429
    assert log_in(owner.email, PASSWORD, "192.0.2.2") == 200
    later(seconds=PACES["address"].seconds)
    assert log_in("another@acme.example") == 401
    assert log_in("another@acme.example") == 429


@pytest.mark.django_db
def test_one_user_tried_from_many_addresses_is_slowed_but_not_where_they_are_known(
    owner: Person, member: Person
) -> None:
    assert log_in(owner.email, PASSWORD, "203.0.113.9") == 200
    burst = PACES["account"].burst
    assert tries(burst, lambda number: log_in(owner.email, address=f"198.51.100.{number}")) == [401] * burst
    assert log_in(owner.email, PASSWORD, "198.51.100.200") == 429
    assert log_in(owner.email, PASSWORD, "203.0.113.9") == 200
    assert log_in(member.email, PASSWORD, "198.51.100.200") == 200
    later(seconds=burst * PACES["account"].seconds)
    assert log_in(owner.email, PASSWORD, "198.51.100.201") == 200


@pytest.mark.django_db
def test_a_known_address_has_no_more_attempts_than_others_and_is_not_known_for_ever(owner: Person) -> None:
    assert log_in(owner.email, PASSWORD) == 200
    burst = PACES["pair"].burst
    assert tries(burst, lambda _: log_in(owner.email)) == [401] * burst
    assert log_in(owner.email, PASSWORD) == 429
    later(seconds=PACES["pair"].seconds)
    assert log_in(owner.email, PASSWORD) == 200
    tries(PACES["account"].burst, lambda number: log_in(owner.email, address=f"198.51.100.{number}"))
    later(days=TRUSTED_DAYS)
    LogInCounter.objects.filter(kind="account").update(level=PACES["account"].burst, at=timezone.now())
    assert log_in(owner.email, PASSWORD) == 429


@pytest.mark.django_db
def test_addresses_of_one_ipv6_network_and_ways_to_write_one_are_one() -> None:
    for one, other in (("2001:db8::1", "2001:db8::ffff:1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("", "no address")):
        assert throttle.network_of(one) == throttle.network_of(other)
    assert throttle.network_of("2001:db8::1") != throttle.network_of("2001:db8:0:1::1")
    burst = PACES["address"].burst
    assert tries(burst + 1, lambda number: log_in(f"u{number}@x.example", address=f"2001:db8::{number:x}"))[-1] == 429


@pytest.mark.django_db(transaction=True)
def test_attempts_at_once_are_counted_one_by_one() -> None:
    let_through: list[int] = []

    def go(number: int) -> None:
        try:
            for _ in range(4):
                attempt.begin(email="a@b.example", address="192.0.2.1")
                let_through.append(number)
        except Overloaded:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(let_through) == PACES["pair"].burst


@pytest.mark.django_db
def test_refusals_are_in_the_audit_trail_with_their_number_and_not_one_by_one(owner: Person) -> None:
    before = AuditRecord.objects.count()
    burst = PACES["pair"].burst
    tries(burst + 5, lambda _: log_in(owner.email))
    first, second = opened(AuditRecord.objects.order_by("id")[before:])
    assert (first.action, first.target_id, first.detail["refused"]) == ("session.refuse", "192.0.2.1", 1)
    assert first.detail["email"] == owner.email
    assert (second.action, second.target_id, second.detail["address"]) == (
        "session.lock_out",
        owner.user.id.hex,
        "192.0.2.1",
    )
    attempt.tell_and_sweep()
    assert AuditRecord.objects.count() == before + 2
    later(seconds=attempt.TOLD_SECONDS)
    attempt.tell_and_sweep()
    rest = opened(AuditRecord.objects.order_by("id")[before + 2 :])
    assert sorted((each.action, each.detail["refused"]) for each in rest) == [
        ("session.lock_out", 4),
        ("session.refuse", burst - 1),
    ]


@pytest.mark.django_db
def test_what_is_typed_as_an_address_of_nobody_is_kept_nowhere(owner: Person) -> None:
    """It may be a password."""
    log_in("hunter2-hunter2")
    tries(PACES["pair"].burst, lambda _: log_in("hunter2-hunter2"))
    for row in (*AuditRecord.objects.values(), *LogInCounter.objects.values()):
        assert "hunter2" not in str(row)


@pytest.mark.django_db
def test_many_addresses_do_not_fill_the_audit_trail() -> None:
    room = PACES["audit"].burst
    LogInCounter.objects.create(kind="audit", level=room - 2, at=timezone.now(), expires_at=timezone.now())
    tries(5, lambda number: log_in(f"u{number}@x.example", address=f"192.0.2.{number}"))
    assert 2 <= AuditRecord.objects.filter(action="session.refuse").count() <= 3
    later(hours=1)
    attempt.tell_and_sweep()
    told = AuditRecord.objects.filter(action="session.refuse").values_list("detail", flat=True)
    assert sum(detail["refused"] for detail in told) == 5
    later(hours=1)
    attempt.tell_and_sweep()
    assert not LogInCounter.objects.exists()


@given(st.sampled_from(KINDS), st.floats(0, 1e6), st.floats(-1e6, 1e9))
def test_a_counter_drains_and_never_grows_with_time(kind: throttle.Kind, level: float, elapsed: float) -> None:
    after = throttle.drained(level, elapsed, kind)
    assert 0 <= after <= level
    assert throttle.wait(after, kind) <= throttle.wait(level, kind)


@given(st.sampled_from(KINDS), st.floats(0, 1e3))
def test_who_waits_as_long_as_was_said_is_let_through(kind: throttle.Kind, level: float) -> None:
    seconds = throttle.wait(level, kind)
    assert throttle.wait(throttle.drained(level, seconds + 1e-6, kind), kind) < 1e-3
