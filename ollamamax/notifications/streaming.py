"""Sends slices of the audit trail to syslog servers over TLS: several at once, each within a bounded time. What arrived is sent no more; what may have been lost is sent again."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from importlib.metadata import version

from django.conf import settings

from ollamamax import logs
from ollamamax.kernel.ids import new_id
from ollamamax.notifications.actions.streamed import TrailSlice, claim_slices, finish_slice
from ollamamax.outbound.addresses import OutboundRefused
from ollamamax.outbound.client import OutboundFailed
from ollamamax.outbound.tls import give

WORKERS = 8
SECONDS = 10.0
"""How long one connection may take, name, handshake and answer together."""
BUDGET = 20.0
"""Seconds after which a run claims nothing more."""
_log = logs.get(__name__)


def stream_due(seconds: float = SECONDS) -> int:
    """Send what is due until nothing is, or for `BUDGET` seconds; how many connections that were."""
    runner, done, release = new_id(), 0, version("ollamamax")
    ends = time.monotonic() + BUDGET
    under_way: dict[Future[str], TrailSlice] = {}
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="syslog") as pool:
        while True:
            if time.monotonic() < ends:
                for each in claim_slices(runner, WORKERS - len(under_way), release):
                    under_way[pool.submit(attempt, each, seconds)] = each
            if not under_way:
                return done
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                finish_slice(under_way.pop(future), runner, future.result())
                done += 1


def attempt(taken: TrailSlice, seconds: float = SECONDS) -> str:
    """One connection; why it did not arrive, or nothing. Raises nothing: whatever a receiver does is its stream's trouble alone."""
    try:
        give(
            taken.host, taken.port, taken.data, rules=settings.OUTBOUND_RULES, authority=taken.authority,
            answered=taken.answered, seconds=seconds,
        )  # fmt: skip
    except (OutboundRefused, OutboundFailed) as problem:
        return str(problem)
    except Exception as problem:  # noqa: BLE001 - a receiver that breaks the client must not end the loop of all others
        _log.exception("audit_stream_broke", stream=taken.stream.hex)
        return f"The attempt broke: {type(problem).__name__}."
    return ""
