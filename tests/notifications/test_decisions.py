"""What webhooks want, when an attempt follows, how findings become events, and signatures as another program reads them: all without a database."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from ollamamax.contract.health import Counts, Finding, FleetHealth, NodeHealth
from ollamamax.kernel.retries import JITTER, MOST_SECONDS, pause
from ollamamax.notifications import signature
from ollamamax.notifications.actions.health import differences, found_in
from ollamamax.notifications.attempts import DAY, MOST_EXCERPT, MOST_KEPT, Tried, after_failure, excerpt_of, log_with
from ollamamax.notifications.events import GROUPS, is_pattern, wants, wants_audit, wants_health

NOW = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC)
EVERY_EVENT = [event for events in GROUPS.values() for event in events]


@pytest.mark.parametrize("event", EVERY_EVENT)
def test_an_event_is_wanted_by_its_name_its_group_or_by_all(event: str) -> None:
    group = event.partition(".")[0]
    for pattern in (event, f"{group}.*", "*"):
        assert is_pattern(pattern)
        assert wants([pattern], event)
    others = {f"{each}.*" for each in GROUPS} - {f"{group}.*"} | (set(EVERY_EVENT) - {event})
    assert not wants(others, event)
    assert wants_health([event]) == (group == "health")
    assert wants_audit([event]) == (group != "health")


@pytest.mark.parametrize(
    "text", ["", "**", "key", "key.", ".issue", "key.*.x", "Key.issue", "key.issue\n", "k" * 80, "kéy.x"]
)
def test_what_is_no_pattern_is_none(text: str) -> None:
    assert not is_pattern(text)


@given(tries=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_pauses_grow_within_bounds_and_differ_by_chance(tries: int, chance: float) -> None:
    found = pause(tries, chance)
    assert 0 < found <= MOST_SECONDS * (1 + JITTER)
    assert pause(tries + 1, chance) >= found * 0.99
    assert pause(tries, 0.0) < pause(tries, 1.0)


@given(chance=st.floats(0, 1))
def test_an_event_is_tried_some_ten_times_over_a_day_and_not_after(chance: float) -> None:
    now, until, tries = NOW, NOW + DAY, 1
    while True:
        then = after_failure(tries=tries, until=until, failures=tries, now=now, chance=chance)
        if then.at is None:
            break
        assert now < then.at <= until
        assert (then.webhook_at - now).total_seconds() <= 72
        now, tries = then.at, tries + 1
    assert 8 <= tries <= 14
    assert now > NOW + DAY * 0.75


def test_the_log_keeps_the_last_attempts_and_the_beginning_of_an_answer() -> None:
    log: list[object] = []
    for number in range(MOST_KEPT + 5):
        log = log_with(log, Tried(NOW, 1.0, 500 + number))
    assert [each["status"] for each in log] == list(range(505, 505 + MOST_KEPT))  # type: ignore[index]
    assert len(excerpt_of(b"\xff\0" * MOST_EXCERPT)) <= MOST_EXCERPT
    assert "\0" not in excerpt_of(b"a\0b")


@given(body=st.binary(max_size=200), id_=st.from_regex(r"[0-9a-f]{32}", fullmatch=True))
def test_the_reference_receiver_takes_what_is_signed_and_nothing_that_was_changed(body: bytes, id_: str) -> None:
    text = json.dumps({"data": body.hex()}).encode()
    old, new = signature.new_secret(), signature.new_secret()
    at = int(datetime.datetime.now(datetime.UTC).timestamp())
    headers = signature.headers([new, old], id_=id_, at=at, body=text)
    for secret in (old, new):  # while it is rotated, by either
        assert Verifier(signature.shown(secret)).verify(text, headers) == json.loads(text)
    for changed in (
        (text + b" ", headers),
        (text, {**headers, "webhook-id": "f" * 31}),
        (text, {**headers, "webhook-timestamp": str(at + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Verifier(signature.shown(new)).verify(*changed)
    with pytest.raises(WebhookVerificationError):
        Verifier(signature.shown(signature.new_secret())).verify(text, headers)


findings = st.builds(
    Finding,
    code=st.sampled_from(["silent", "gpu_hot", "disk_full"]),
    severity=st.sampled_from(["critical", "warning", "notice"]),
    text=st.text(max_size=10),
    since=st.floats(1e9, 2e9),
)
nodes = st.dictionaries(
    st.sampled_from(["a" * 32, "b" * 32]),
    st.builds(NodeHealth, name=st.just("n"), state=st.just("degraded"), findings=st.lists(findings, max_size=3)),
)
reports = st.builds(
    FleetHealth,
    at=st.just(1e9),
    state=st.just("degraded"),
    counts=st.just(Counts()),
    nodes=nodes,
    findings=st.lists(findings, max_size=3),
)


@given(before=st.lists(reports, max_size=2), after=st.lists(reports, max_size=2))
def test_events_of_health_lead_from_what_was_told_to_what_is(
    before: list[FleetHealth], after: list[FleetHealth]
) -> None:
    told, found = found_in(before, ""), found_in(after, "")
    assert all(each.severity != "notice" for each in found.values())
    replayed = dict(told)
    for type_, name, data in differences(told, found):
        if type_ == "health.closed":
            del replayed[name]
        else:
            assert (name in replayed) == (type_ == "health.changed")
            replayed[name] = data
    assert {name: data.severity for name, data in replayed.items()} == {
        name: data.severity for name, data in found.items()
    }
    assert differences(found, found) == []
