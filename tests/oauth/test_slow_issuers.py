"""Issuers that say nothing, or that lie about times: nobody else waits for them, and what they sign is refused in a sentence."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest
from django.db import OperationalError, connections
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.oauth.actions import token as actions
from ollamamax.oauth.workload_claims import why_not
from ollamamax.sso.kept_answers import KeptAnswers, Places
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.tokens import TokenExpected, check_id_token, check_log_out_token
from tests.oauth.conftest import exchange
from tests.patience import LONG
from tests.sso.provider import FakeProvider

NOW = 1_800_000_000.0
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, -(10**400)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
times = st.fixed_dictionaries({}, optional=dict.fromkeys(("exp", "nbf", "iat"), anything))


@given(times)
def test_whatever_stands_where_a_time_belongs_is_a_time_or_refused(claims: dict[str, Any]) -> None:
    said = {"iss": "i", "aud": "a", "sub": "s", "jti": "j", "nonce": "n", **claims}
    against = why_not(said, issuer="i", audience="a", rules=[("sub", "s")], now=NOW)
    assert against is not None or NOW - 60 < said["exp"] <= NOW + 86_400 + 60
    expected = TokenExpected("i", "a")
    for check in (
        lambda: check_id_token(said, expected, nonce="n", now=NOW),
        lambda: check_log_out_token(said, expected, now=NOW),
    ):
        with contextlib.suppress(SsoRefused):
            check()


class Silent:
    """Something that is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.asked, self.speaks = 0, threading.Event()

    def answer(self) -> str:
        self.asked += 1
        assert self.speaks.wait(LONG)
        return "an answer"


@pytest.fixture
def silent() -> Iterator[Silent]:
    found = Silent()
    yield found
    found.speaks.set()


def test_of_many_who_want_the_same_one_asks_and_the_others_hear_it(silent: Silent, db: None) -> None:
    waiting = Places(most=20, most_of_one=10, most_unproven=20)
    kept: KeptAnswers[str] = KeptAnswers(waiting)

    def ask() -> str:
        try:
            return kept.value("slow", silent.answer)
        except SsoRefused as refused:
            return str(refused.why)

    with ThreadPoolExecutor(32) as pool:
        told = [pool.submit(ask) for _ in range(32)]
        for _ in zip(range(21), as_completed(told, LONG), strict=False):
            pass
        assert {each.result() for each in told if each.done()} == {Why.TOO_OFTEN}
        silent.speaks.set()
        assert sorted(each.result() for each in told).count("an answer") == 11
    assert silent.asked == 1


def test_those_that_never_answered_leave_room_for_those_that_did(db: None) -> None:
    places = Places(most=5, most_of_one=2, most_unproven=3)
    with places.one("good"):
        pass
    taken = [places.one(name) for name in ("a", "b", "c")]
    for each in taken:
        each.__enter__()
    with pytest.raises(SsoRefused), places.one("d"):
        pass
    with places.one("good"), places.one("good"), pytest.raises(SsoRefused), places.one("good"):
        pass
    for each in taken:
        each.__exit__(None, None, None)
    with pytest.raises(OSError, match="away"), places.one("good"):
        raise OSError("away")
    taken = [places.one(name) for name in ("d", "e", "f")]
    for each in taken:
        each.__enter__()
    with pytest.raises(SsoRefused), places.one("good"):
        pass


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_an_issuer_holds_no_connection_to_postgres(
    workload: dict[str, Any], fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, answer, token = connections["default"], fake.answer, fake.id_token()
    held: list[bool] = []

    def noting(path: str) -> tuple[int, bytes]:
        held.append(ours.connection is not None)
        return answer(path)

    ours.ensure_connection()
    monkeypatch.setattr(fake, "answer", noting)
    assert exchange(workload, token).status_code == 200
    assert held == [False, False]


@pytest.mark.django_db
def test_an_issuer_that_does_not_answer_and_a_database_that_is_away_have_the_sender_come_again(
    workload: dict[str, Any], fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("away")

    def silent(*_: Any) -> Any:
        raise SsoRefused(Why.UNREACHABLE, "It does not answer.")

    replaced: list[tuple[str, Callable[..., Any]]] = [("claims_by_issuer", silent), ("find_workload", away)]
    for name, other in replaced:
        with monkeypatch.context() as patch:
            patch.setattr(actions, name, other)
            answer = exchange(workload, "ey.ey.ey")
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
            assert int(answer["Retry-After"]) > 0
