"""Folds several events of a topic, which a slow reader has not taken yet, into one that says the same. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

Data = dict[str, Any]


def folded(topic: str, events: Sequence[bytes]) -> bytes:
    """One event's data for those of ``events``, the oldest first. Who applies it knows what those know who applied each."""
    if len(events) == 1:
        return events[0]
    fold = _FOLDS[topic]
    first, *others = (msgspec.json.decode(event) for event in events)
    for other in others:
        first = fold(first, other)
    return msgspec.json.encode(first)


def _fleet(before: Data, then: Data) -> Data:
    return {"points": [*before["points"], *then["points"]]}


def _rows(before: Data, then: Data) -> Data:
    """What goes and comes again is new, and told with all its fields."""
    if then["whole"]:
        return then
    gone = [key for key in dict.fromkeys([*before["gone"], *then["gone"]]) if key not in then["changed"]]
    changed: dict[str, Data] = {key: row for key, row in before["changed"].items() if key not in then["gone"]}
    for key, fields in then["changed"].items():
        changed[key] = changed.get(key, {}) | fields
    return then | {"changed": changed, "gone": gone, "whole": before["whole"]}


def _requests(before: Data, then: Data) -> Data:
    finished = [*then["finished"], *before["finished"]]
    if then["whole"]:
        return then | {"finished": finished}
    running = {each["request"]: each for each in before["running"]}
    for request in then["ended"]:
        running.pop(request, None)
    running |= {each["request"]: each for each in then["running"]}
    ended = [each for each in dict.fromkeys([*before["ended"], *then["ended"]]) if each not in running]
    return then | {
        "running": list(running.values()),
        "ended": ended,
        "finished": finished,
        "whole": before["whole"],
    }


def _last(before: Data, then: Data) -> Data:
    del before
    return then


def _trail(before: Data, then: Data) -> Data:
    return {"entries": [*then["entries"], *before["entries"]]}


_FOLDS: dict[str, Callable[[Data, Data], Data]] = {
    "fleet": _fleet,
    "health": _rows,
    "system": _last,
    "nodes": _rows,
    "models": _rows,
    "requests": _requests,
    "queue": _last,
    "jobs": _last,
    "incidents": _last,
    "keys": _trail,
    "audit": _trail,
}
