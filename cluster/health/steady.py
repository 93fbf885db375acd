"""Decides which signs last: a finding comes and goes once, however its sign flickers."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.health.memory import LONGEST_PAUSE, HeldSign
from cluster.health.sign import Sign
from ollamamax.contract.health import Condition, Finding

SEVERITIES = {"critical": 0, "warning": 1, "notice": 2}


def steady(held: dict[str, HeldSign], signs: Sequence[Sign], now: float, looked: float) -> list[Finding]:
    """Bring ``held`` forward to what is there now. Returns the findings, worst first. ``looked``: the time of the look before."""
    paused = not 0.0 <= now - looked <= LONGEST_PAUSE
    seen = set()
    for sign in signs:
        seen.add(sign.key)
        known = held.get(sign.key)
        if known is None:
            held[sign.key] = HeldSign(sign, now, now, sign.hold <= 0.0)
            continue
        if paused and not known.raised:
            known.first = now
        known.sign, known.last = sign, now
        known.raised = known.raised or now - known.first >= sign.hold
    for key in [key for key in held if key not in seen]:
        known = held[key]
        if paused:
            known.last = now
        if not known.raised or now - known.last >= known.sign.clear:
            del held[key]
    return ordered([_finding(each) for each in held.values() if each.raised])


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """Worst first, then the oldest."""
    return sorted(findings, key=lambda each: (SEVERITIES[each.severity], each.since, each.code, each.text))


def condition(findings: Sequence[Finding]) -> Condition:
    severities = {each.severity for each in findings}
    return "unhealthy" if "critical" in severities else "degraded" if "warning" in severities else "healthy"


def _finding(held: HeldSign) -> Finding:
    sign = held.sign
    return Finding(sign.code, sign.severity, sign.text, round(held.first, 3), sign.values)
