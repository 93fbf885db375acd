"""What becomes of incidents: one of each fault, closed when it is over, and bounded whatever is found."""

from __future__ import annotations

import datetime

from hypothesis import example, given
from hypothesis import strategies as st

from cluster.incidents.plan import (
    FIRST_ENTRIES,
    MOST_ENTRIES,
    MOST_OPEN,
    MOST_OPENED_OF_ONE,
    REOPENED_SECONDS,
    KeptIncident,
    entered,
    is_told_worse,
    plan,
)
from cluster.incidents.trouble import MOST_EVIDENCE, MOST_TEXT, FoundTrouble, TroubleEvidence, problems_of
from ollamamax.contract.health import Counts, Finding, FleetHealth, NodeHealth, Severity

TENANT = "a" * 32
SEVERITY: st.SearchStrategy[Severity] = st.sampled_from(["critical", "warning"])


def problem(kind: str, severity: Severity = "critical", node: str = "b" * 32, text: str = "t") -> FoundTrouble:
    return FoundTrouble(kind, "node", node, "gpu-1", "", [TroubleEvidence(kind, severity, text, {})])


def report(*findings: Finding, node: str = "b" * 32) -> FleetHealth:
    return FleetHealth(1.0, "unhealthy", Counts(), {node: NodeHealth("gpu-1", "unhealthy", list(findings))})


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.tuples(SEVERITY, st.text(max_size=2)), max_size=3), max_size=12)
)
def test_there_is_one_open_incident_of_each_fault_as_long_as_it_is_there(
    looks: list[dict[str, tuple[Severity, str]]],
) -> None:
    held: dict[str, KeptIncident] = {}
    for number, look in enumerate(looks):
        now = number * 2.0
        found = {
            each.key: each for kind, (severity, text) in look.items() for each in [problem(kind, severity, text=text)]
        }
        made = plan(found, held, {}, now)
        for key in (*made.opened, *made.reopened, *made.changed):
            held[key] = KeptIncident(key, found[key].severity, found[key].text, now)
        for key in made.closed:
            held[key] = KeptIncident(key, held[key].severity, held[key].text, now, now)
        assert {key for key, each in held.items() if each.closed_at is None} == found.keys()
        assert all(held[key].severity == each.severity for key, each in found.items())
        again = plan(found, held, {}, now)
        assert not again, "what was done is not done again"


def test_a_fault_that_is_back_soon_is_the_same_incident_and_later_another() -> None:
    fault = problem("engine_crashed")
    closed = {fault.key: KeptIncident(fault.key, "critical", "t", 100.0, 100.0)}
    assert plan({fault.key: fault}, closed, {}, 100.0 + REOPENED_SECONDS - 1).reopened == [fault.key]
    assert plan({fault.key: fault}, closed, {}, 100.0 + REOPENED_SECONDS + 1).opened == [fault.key]


@given(st.integers(0, 60), st.integers(0, MOST_OPENED_OF_ONE + 2))
def test_a_node_that_lies_about_itself_fills_no_list_and_hides_nobody_else(lies: int, before: int) -> None:
    told = {each.key: each for number in range(lies) for each in [problem(f"lie_{number}", "warning")]}
    other = problem("node_lost", node="c" * 32)
    made = plan({**told, other.key: other}, {}, {problem("x").subject: before}, 0.0)
    assert other.key in made.opened
    assert len(made.opened) - 1 <= max(0, MOST_OPENED_OF_ONE - before)
    assert len(made.opened) + len(made.refused) == lies + 1


def test_of_a_tenant_so_many_are_open_at_once_and_the_worst_come_first() -> None:
    many = [problem("node_lost", "warning", node=f"{number:032x}") for number in range(MOST_OPEN + 50)]
    worst = problem("node_lost", node="f" * 32)
    made = plan({each.key: each for each in [*many, worst]}, {}, {}, 0.0)
    assert len(made.opened) == MOST_OPEN
    assert made.opened[0] == worst.key


def test_signs_of_one_fault_are_one_incident_and_notices_are_none() -> None:
    found = problems_of(
        report(
            Finding("engine_frozen", "critical", "It hangs.", 1.0),
            Finding("no_tokens", "warning", "No token.", 1.0),
            Finding("agent_version", "notice", "Older.", 1.0),
            Finding("node_silent", "critical", "It never said anything.", 1.0),
        ),
        None,
        {},
        "",
    )
    assert [(each.kind, each.severity, len(each.evidence)) for each in found.values()] == [
        ("engine_hung", "critical", 2)
    ]


def test_a_silent_node_is_one_incident_whether_health_or_its_state_says_so() -> None:
    silent = report(Finding("node_silent", "critical", "Silent.", 1.0, {"silent_seconds": 7}))
    away = {"b" * 32: ("gpu-1", "lost")}
    keys = [
        set(problems_of(told, None, absent, "")) for told, absent in ((silent, {}), (silent, away), (report(), away))
    ]
    assert keys[0] == keys[1] == keys[2]
    assert len(keys[0]) == 1


@given(st.integers(0, 300), st.integers(0, 3000))
def test_whatever_a_node_says_an_incident_has_bounded_size(findings: int, length: int) -> None:
    some = [
        Finding("gpu_fault", "critical", "x" * length, 1.0, dict.fromkeys(map(str, range(100)), 1))
        for _ in range(findings)
    ]
    for each in problems_of(report(*some), None, {}, "").values():
        assert len(each.evidence) <= MOST_EVIDENCE
        assert all(len(one.text) <= MOST_TEXT and len(one.values) <= 20 for one in each.evidence)


@given(st.text(max_size=30), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3), st.text(max_size=9))
def test_what_is_said_within_an_incident_steers_nothing_and_can_be_kept(
    text: str, values: dict[str, str], name: str
) -> None:
    told = FleetHealth(
        1.0,
        "unhealthy",
        Counts(),
        {
            "b" * 32: NodeHealth(
                f"{name}\n\u202e", "unhealthy", [Finding("gpu_fault", "critical", f"{text}\0\x1b[2J", 1.0, {**values})]
            )
        },
    )
    for each in problems_of(told, None, {}, "").values():
        said = [each.name, *(one.text for one in each.evidence)]
        said += [part for one in each.evidence for pair in one.values.items() for part in map(str, pair)]
        assert all(part.isprintable() for part in said)


@example([bool(number % 2) for number in range(1800)])
@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_what_comes_and_goes_is_told_ever_more_seldom(looks: list[bool]) -> None:
    """A node that lies for an hour, at each look another way."""
    fault, told = problem("engine_hung"), 0
    held: dict[str, KeptIncident] = {}
    for number, there in enumerate(looks):
        now = number * 2.0
        made = plan({fault.key: fault} if there else {}, held, {}, now)
        for key in (*made.opened, *made.reopened):
            again = held[key].reopened + 1 if key in held else 0
            held[key], told = KeptIncident(key, "critical", "t", now, None, again), told + 1
        for key in made.closed:
            held[key], told = KeptIncident(key, "critical", "t", now, now, held[key].reopened), told + 1
    assert told <= 30
    if (last := held.get(fault.key)) is not None and last.closed_at is None:
        assert plan({}, held, {}, last.changed_at + REOPENED_SECONDS).closed == [fault.key]


def test_that_it_became_worse_is_told_once_in_a_while() -> None:
    now = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    timeline: list[dict[str, str]] = []
    told = []
    for second in range(0, 1201, 4):
        at = now + datetime.timedelta(seconds=second)
        for what in ("worse", "better"):
            timeline = entered(timeline, {"at": at.isoformat(), "what": what})
            if what == "worse":
                told.append(is_told_worse(timeline, at))
    # The timeline keeps its newest steps: fewer than the ten minutes have.
    assert told[0]
    assert sum(told) <= 3


@given(st.integers(0, 400))
def test_a_timeline_keeps_its_beginning_and_its_end(entries: int) -> None:
    timeline: list[dict[str, str]] = []
    for number in range(entries):
        timeline = entered(timeline, {"n": str(number)})
    numbers = [int(each["n"]) for each in timeline]
    assert len(numbers) == min(entries, MOST_ENTRIES)
    assert numbers == sorted(set(numbers))
    assert numbers[:FIRST_ENTRIES] == list(range(min(entries, FIRST_ENTRIES)))
    assert not entries or numbers[-1] == entries - 1
