"""Requests that the API refused because whoever asked may not: each is told to the audit trail of their tenant before it is answered.

By group commit, since there may be many. Of one caller at most so many are told one by one; what is beyond is in the log and in the number
of the next that is told, so that whoever is refused often does not fill the trail.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from ollamamax import logs
from ollamamax.audit.actions import Happening
from ollamamax.audit.together import record_together
from ollamamax.kernel.principal import Principal

AT_ONCE = 60.0
"""Refusals of one caller that are told one by one, of each process; one more each second."""
_MOST_CALLERS = 10_000

log = logs.get(__name__)


@dataclass
class _Caller:
    at: float
    room: float = AT_ONCE
    untold: int = 0


_callers: OrderedDict[str, _Caller] = OrderedDict()
_lock = threading.Lock()


def tell_refusal(by: Principal, *, method: str, route: str, permission: str) -> bool:
    """Whether a record of its own tells of it. Returns once that is committed; raises what the database says.

    ``route`` as in `ollamamax.urls`, without what the address held; ``permission`` is empty where it is not one that they lack.
    """
    refused = _counted(f"{by.kind}:{by.id}", time.monotonic())
    if refused == 0:
        log.warning("request_refused", actor=by.id, tenant=by.tenant, method=method, route=route, permission=permission)
        return False
    detail: dict[str, object] = {"method": method, "refused": refused} | (
        {"permission": permission} if permission else {}
    )
    record_together(Happening(by, "request.refuse", "route", route[:200], detail), by.tenant)
    return True


def _counted(caller: str, now: float) -> int:
    """How many refusals of a caller a record is to tell of now, this one among them; 0 where it tells of none."""
    with _lock:
        held = _callers.pop(caller, None) or _Caller(now)
        held.room, held.at = min(AT_ONCE, held.room + now - held.at), now
        held.untold += 1
        told = held.untold if held.room >= 1 else 0
        if told:
            held.room -= 1
            held.untold = 0
        _callers[caller] = held
        while len(_callers) > _MOST_CALLERS:
            _callers.popitem(last=False)
        return told
