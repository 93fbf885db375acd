"""Sends parcels to webhooks: several at once, each within a bounded time, through the one client for addresses of others."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.conf import settings
from django.utils import timezone

from ollamamax import logs
from ollamamax.kernel.ids import new_id
from ollamamax.notifications import signature
from ollamamax.notifications.actions.delivery import Parcel, claim_deliveries, finish_attempt
from ollamamax.notifications.attempts import MOST_EXCERPT, Tried, excerpt_of
from ollamamax.outbound.addresses import OutboundRefused, Rules
from ollamamax.outbound.client import OutboundFailed, send

WORKERS = 16
SECONDS = 10.0
"""How long one attempt may take, name, connection and answer together."""
BUDGET = 20.0
"""Seconds after which a run claims nothing more."""
AGENT = "OllamaMax-Webhook/1"
_log = logs.get(__name__)


def deliver_due() -> int:
    """Attempt what is due until nothing is, or for `BUDGET` seconds; how many attempts that were."""
    runner, done = new_id(), 0
    ends = time.monotonic() + BUDGET
    under_way: dict[Future[Tried], Parcel] = {}
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="webhook") as pool:
        while True:
            while time.monotonic() < ends:
                # Again until there is nothing: the first may all have been one tenant's, which has so many places only.
                parcels = claim_deliveries(runner, WORKERS - len(under_way))
                under_way.update((pool.submit(attempt, each), each) for each in parcels)
                if not parcels or len(under_way) >= WORKERS:
                    break
            if not under_way:
                return done
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                finish_attempt(under_way.pop(future), runner, future.result())
                done += 1


def attempt(parcel: Parcel) -> Tried:
    """One request to the webhook's address. Whatever goes wrong is what became of it; nothing is raised."""
    at, began = timezone.now(), time.monotonic()
    if not parcel.secrets:
        return Tried(at, 0.0, None, "The secret cannot be read any more, so that nothing can be signed: rotate it.")
    headers = {
        "content-type": "application/json",
        "user-agent": AGENT,
        **signature.headers(parcel.secrets, id_=parcel.event, at=int(at.timestamp()), body=parcel.body),
    }
    rules: Rules = settings.OUTBOUND_RULES
    status: int | None = None
    error = excerpt = ""
    try:
        answer = asyncio.run(
            send(
                "POST",
                parcel.url,
                rules=rules,
                headers=headers,
                body=parcel.body,
                seconds=SECONDS,
                most_answer=MOST_EXCERPT,
                cut=True,
            )
        )
        status, excerpt = answer.status, excerpt_of(answer.body)
    except (OutboundRefused, OutboundFailed) as problem:
        error = str(problem)
    except Exception as problem:  # noqa: BLE001 - an address that breaks the client must not end the loop of all others
        _log.exception("webhook_attempt_broke", delivery=parcel.delivery.hex)
        error = f"The attempt broke: {type(problem).__name__}."
    return Tried(at, round((time.monotonic() - began) * 1000, 1), status, error, excerpt)
