"""What a client may wish for its request besides the body, in headers that every protocol has room for."""

from __future__ import annotations

from typing import get_args

from ollamamax.gateway.http import Scope, header
from ollamamax.identity.access import KnownKey, Priority
from ollamamax.kernel import errors

PRIORITY = "x-ollamamax-priority"
TIMEOUT = "x-ollamamax-timeout"
_PRIORITY, _TIMEOUT = PRIORITY.encode(), TIMEOUT.encode()
_CLASSES: tuple[Priority, ...] = get_args(Priority)
"""From the first served to the last."""


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
