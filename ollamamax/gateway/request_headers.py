"""What a client may wish for its request besides the answer: in headers that every protocol has room for, and in OpenAI's body."""

from __future__ import annotations

from typing import get_args

from ollamamax.contract.tables import KnownKey, Priority
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import Scope, header, named
from ollamamax.kernel import errors

PRIORITY = "x-ollamamax-priority"
TIMEOUT = "x-ollamamax-timeout"
STRICT = "x-ollamamax-strict"
_PRIORITY, _TIMEOUT, _STRICT = PRIORITY.encode(), TIMEOUT.encode(), STRICT.encode()
_ALL = frozenset({_PRIORITY, _TIMEOUT, _STRICT})
_CLASSES: tuple[Priority, ...] = get_args(Priority)
"""From the first served to the last."""


def take(scope: Scope, call: Call, key: KnownKey) -> None:
    """What is wished for the call. Raises `InvalidRequest` and `Forbidden`."""
    call.priority = "low" if key.priority == "low" else "normal"
    if not _ALL.isdisjoint(named(scope)):
        call.priority = priority(scope, key)
        call.timeout = timeout(scope)
        call.notes.strict = call.notes.strict or strict(scope)


def priority(scope: Scope, key: KnownKey) -> Priority:
    """``normal``, or the key's own class where that is lower. Raises `InvalidRequest`, and `Forbidden` above the key's class."""
    asked = header(scope, _PRIORITY)
    if asked is None:
        return "low" if key.priority == "low" else "normal"
    for known in _CLASSES:
        if asked == known:
            if _CLASSES.index(known) < _CLASSES.index(key.priority):
                raise errors.Forbidden(f"This API key may ask for the priority '{key.priority}' at most.")
            return known
    raise errors.InvalidRequest(f"{PRIORITY} is one of {', '.join(_CLASSES)}.", param=PRIORITY)


def timeout(scope: Scope) -> float | None:
    """Seconds, waiting included. Raises `InvalidRequest`."""
    asked = header(scope, _TIMEOUT)
    if asked is None:
        return None
    try:
        seconds = float(asked)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise errors.InvalidRequest(f"{TIMEOUT} is a number of seconds, larger than 0.", param=TIMEOUT)
    return seconds


def strict(scope: Scope) -> bool:
    """Whether fields that nobody knows are to be refused. Raises `InvalidRequest`."""
    asked = header(scope, _STRICT)
    if asked not in (None, "0", "1"):
        raise errors.InvalidRequest(f"{STRICT} is 0 or 1.", param=STRICT)
    return asked == "1"


def take_tier(call: Call, tier: str | None) -> None:
    """OpenAI's ``service_tier``: ``flex`` may wait, as the priority ``low``; ``priority`` is ``high``, for a key that may ask for that.
    The others are bought there, and do nothing here."""
    if tier == "flex":
        call.priority = "low"
    elif tier == "priority" and call.highest == "high" and not call.idle_only:
        call.priority = "high"
    elif tier not in (None, "auto", "default"):
        call.ignored.add(["service_tier"])
