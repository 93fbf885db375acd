"""Background: claims responses that are to be made in the background, and asks for them as their key."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import msgspec

from ollamamax import logs
from ollamamax.bus.database import in_database_at_last
from ollamamax.bus.directory import Directory
from ollamamax.bus.work_calls import WorkCalls
from ollamamax.gateway.app import Gateway
from ollamamax.gateway.http import encode
from ollamamax.gateway.whole_response import WholeResponse
from ollamamax.identity.access import identified, working_key
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.tasks import end
from ollamamax.responses.actions.lease import MOST_ATTEMPTS, WORK, claim_response, give_back, renew_leases
from ollamamax.responses.actions.response import finish_response
from ollamamax.responses.actions.sweep import sweep_responses
from ollamamax.responses.models import KeptResponse
from ollamamax.responses.queries.response import failed, held_response
from ollamamax.responses.sealed import opened

CLAIM_SECONDS = 3.0
"""After so long it is asked for work without a call."""
RENEW_SECONDS = 0.4
"""Also how soon a cancellation is heard of."""
SWEEP_SECONDS = 300.0
PATIENCE = 3600.0
"""Seconds for which one waits for a place in the queue or a node."""
BUSY = frozenset({429, 503})
_log = logs.get(__name__)


class BackgroundResponses:
    """`run` returns when its task is cancelled, with every response given back."""

    def __init__(self, gateway: Gateway, calls: WorkCalls, *, concurrency: int) -> None:
        self.id = new_id()
        self._gateway = gateway
        self._calls = calls
        self._concurrency = concurrency
        self._works: dict[uuid.UUID, asyncio.Task[None]] = {}

    async def run(self) -> None:
        directory = await self._gateway.directory.ready()
        loops = [asyncio.create_task(each) for each in (self._claim(directory), self._renew(), self._sweep())]
        try:
            await asyncio.gather(*loops)
        finally:
            held = dict(self._works)
            await end([*loops, *held.values()])
            for response in held:
                await in_database_at_last(give_back, self.id, response)

    async def _claim(self, directory: Directory) -> None:
        while True:
            full = len(self._works) >= self._concurrency
            claimed = None if full else await in_database_at_last(claim_response, self.id)
            if claimed is None or claimed in self._works:
                await self._calls.wait(WORK, CLAIM_SECONDS)
                continue
            work = asyncio.create_task(self._work(directory, claimed))
            self._works[claimed] = work

    async def _renew(self) -> None:
        while True:
            before = dict(self._works)
            wanted = await in_database_at_last(renew_leases, self.id, list(before)) if before else set()
            for response, work in before.items():
                if response not in wanted:
                    work.cancel()  # it was cancelled or deleted, or another runner has it
            await asyncio.sleep(RENEW_SECONDS)

    async def _sweep(self) -> None:
        while True:
            removed = await in_database_at_last(sweep_responses)
            if removed:
                _log.info("responses_swept", removed=removed)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _work(self, directory: Directory, response_id: uuid.UUID) -> None:
        try:
            await self._make(directory, response_id)
        finally:
            self._works.pop(response_id, None)
            self._calls.call(WORK)

    async def _make(self, directory: Directory, response_id: uuid.UUID) -> None:
        kept = await in_database_at_last(held_response, response_id, self.id)
        if kept is None:
            return
        shown: dict[str, Any] = {"id": str(kept), "object": "response", "output": []}
        try:
            shown = opened(kept.object, kept.place("object"))
            ended = await self._ended(directory, kept)
        except Exception:  # noqa: BLE001 - the others go on, and the log has the trace
            # Also when the key that sealed it is gone: claimed again, it would break again.
            _log.exception("background_response_broke", response=response_id.hex)
            ended = failed("Something broke in this server; the log has the details.")
        shown |= ended
        await in_database_at_last(
            finish_response, kept.tenant_id, kept.id, KeptResponse.Status(shown["status"]), shown, runner=self.id
        )

    async def _ended(self, directory: Directory, kept: KeptResponse) -> dict[str, Any]:
        """What becomes of its object."""
        if kept.request is None or kept.attempts > MOST_ATTEMPTS:
            return failed(f"It was begun {MOST_ATTEMPTS} times, and its server died each time.")
        body = encode(opened(kept.request, kept.place("request")))
        until = time.monotonic() + PATIENCE
        while True:
            known = working_key(directory, kept.key.identifier)
            if known is None:
                return failed("The API key that asked for this response was revoked or has expired.", "key_revoked")
            identity = identified(known, kept.key.identifier)
            answer = await self._gateway.ask(identity, "/v1/responses", body, idle_only=False)
            if answer.status not in BUSY or time.monotonic() > until:
                return _outcome(answer)
            await asyncio.sleep(min(answer.retry_after or 1.0, 10.0))


def _outcome(answer: WholeResponse) -> dict[str, Any]:
    """The part of the answer that is the response's own, or why there is none."""
    said: dict[str, Any] = msgspec.json.decode(answer.body)
    if answer.status != 200:
        error = said.get("error") or {}
        return failed(str(error.get("message", "")), str(error.get("code") or "server_error"))
    names = ("status", "completed_at", "error", "incomplete_details", "output", "usage", "continued", "model")
    return {name: said[name] for name in names if name in said}
