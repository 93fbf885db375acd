"""Watches the engine's progress: ends requests that wait in vain, has an engine that hangs restarted, or leaves it alone until it answers.

Pure decisions are in `cluster.scheduling.silence`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from cluster.engines.base import EngineAdapter
from cluster.scheduling import silence
from cluster.scheduling.silence import Hung, Silent
from cluster.worker.runs import Runs, TicketRun
from ollamamax import contract, logs
from ollamamax.kernel.errors import EngineCrashed, EngineFailed, OllamaMaxError, Unavailable
from ollamamax.kernel.tasks import end

LOOK_SECONDS = 0.5
OWN_PAUSE = 1.5
"""Seconds beyond which it was this process that stood still between two looks."""
FIRST_PROBE = 1.0
LONGEST_PROBE = 30.0
PROBE_SECONDS = 10.0
"""Seconds within which a probe must be answered."""
RESTART_SECONDS = 120.0
"""After so long a restart that did not bring the model back is the engine's own trouble, which its state tells."""

log = logs.get("cluster.worker.watch")


@dataclass
class Trouble:
    """A version that hung. ``restarts``: the engine's process was ended and is started again by the engine itself."""

    reason: str
    model: str
    since: float
    restarts: bool = False
    kind: contract.Kind = "completion"
    probe: asyncio.Task[None] | None = field(default=None, repr=False)


class Watch:
    """``floor`` as in `silence.FLOOR`."""

    def __init__(self, runs: Runs, engine: Callable[[], EngineAdapter], floor: float = silence.FLOOR) -> None:
        self._runs = runs
        self._engine = engine
        self._floor = floor
        self._looked = 0.0
        self.troubles: dict[str, Trouble] = {}
        self._found = Hung()

    async def watch(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        self._looked = loop.time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = loop.time()
            await self.look(now, now - self._looked)
            self._looked = now

    async def look(self, now: float, since: float) -> None:
        """One look, ``since`` seconds after the last."""
        if since > LOOK_SECONDS + OWN_PAUSE:
            # This process stood still itself; that is nobody's silence.
            self._runs.excuse(since)
        for pace in self._runs.paces.values():
            pace.fade(since)
        engine = self._engine()
        running = [self._silent(run, engine, now) for run in self._runs.running.values() if run.going.is_set()]
        heard = {version: now - at for version, at in self._runs.progress.items()}
        found = silence.hung(running, self._runs.paces, heard, alone=engine.hosts_blobs, floor=self._floor)
        self._found = found
        models = {run.ticket.version: run.ticket for run in self._runs.running.values()}
        counts = {version: sum(each.version == version for each in running) for version in found.versions}
        for ticket, seconds in found.tickets.items():
            text = f"The engine said nothing for {seconds:.0f} s."
            self._runs.cancel(ticket, contract.Failure("engine_hung", text, 504))
            log.warning("request_hung", ticket=ticket, seconds=round(seconds, 1))
        for version, seconds in found.versions.items():
            await self._hung(engine, models[version], seconds, counts[version], now)
        for version, trouble in list(self.troubles.items()):
            if trouble.restarts and (engine.loaded(version) or now - trouble.since > RESTART_SECONDS):
                del self.troubles[version]

    def described(self, health: contract.Engine) -> contract.Engine:
        """The engine's own health, with what hangs in it."""
        if not self.troubles or not health.healthy:
            return health
        return msgspec.structs.replace(
            health,
            healthy=False,
            restarting=any(trouble.restarts for trouble in self.troubles.values()),
            error="; ".join(trouble.reason for trouble in self.troubles.values()),
            quarantined=[version for version, trouble in self.troubles.items() if not trouble.restarts],
        )

    def silence(self) -> contract.Silence | None:
        """What the engine keeps waiting the longest; ``None`` when nothing runs."""
        if self._found.longest is None:
            return None
        each, seconds, limit = self._found.longest
        run = self._runs.running.get(each.ticket)
        return (
            None
            if run is None
            else contract.Silence(round(seconds, 1), round(limit, 1), each.phase, contract.told(run.ticket.model, 400))
        )

    def _silent(self, run: TicketRun, engine: EngineAdapter, now: float) -> Silent:
        if run.loading and engine.loaded(run.ticket.version):
            # Loaded now: from here on it reads the prompt.
            run.loading, run.heard_at = False, now
        phase: contract.Phase = "loading" if run.loading else "writing"
        asked = run.ticket.inference
        # A server that looks for tool calls in what the model says may hold all of one back.
        if not run.loading and (not run.spoke or (asked.tools and not engine.hosts_blobs)):
            phase = "reading"
        return Silent(run.ticket.id, run.ticket.version, phase, now - run.heard_at, run.to_read, run.whole)

    async def _hung(
        self, engine: EngineAdapter, ticket: contract.Ticket, seconds: float, count: int, now: float
    ) -> None:
        version = ticket.version
        requests = "1 request runs" if count == 1 else f"{count} requests run"
        reason = f"{ticket.model}: no token for {seconds:.0f} s while {requests}"
        log.error("engine_hung", version=version, model=ticket.model, seconds=round(seconds, 1), requests=count)
        trouble = self.troubles[version] = Trouble(reason, ticket.model, now, kind=ticket.inference.kind)
        # The requests are told first why they end: the process that they are connected to is ended next.
        await asyncio.sleep(0)
        trouble.restarts = await engine.restart(version, reason)
        if not trouble.restarts:
            self._runs.quarantined[version] = f"This node's engine hangs: {reason}."
            trouble.probe = asyncio.create_task(self._probe(version, trouble))

    async def _probe(self, version: str, trouble: Trouble) -> None:
        """Ask the engine for one token, with growing pauses, until it answers."""
        pause = FIRST_PROBE
        while not await answers(self._engine(), version, trouble):
            await asyncio.sleep(pause)
            pause = min(LONGEST_PROBE, pause * 2)
        log.info("engine_answers_again", version=version, model=trouble.model)
        self.troubles.pop(version, None)
        self._runs.quarantined.pop(version, None)

    async def close(self) -> None:
        await end(trouble.probe for trouble in self.troubles.values() if trouble.probe is not None)


async def answers(engine: EngineAdapter, version: str, trouble: Trouble) -> bool:
    """Whether the engine says anything of the version in time, and be it what is wrong with the question."""
    asked = contract.Inference("completion", prompt="1 2 3", options=contract.Options(max_tokens=1))
    if trouble.kind == "embed":
        asked = contract.Inference("embed", inputs=["1 2 3"])
    elif trouble.kind == "chat":
        asked = contract.Inference(
            "chat", messages=[{"role": "user", "content": "1 2 3"}], options=contract.Options(max_tokens=1)
        )
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            async with contextlib.aclosing(engine.generate(version, trouble.model, asked)) as outputs:
                async for _ in outputs:
                    return True
    except (EngineCrashed, EngineFailed, Unavailable, TimeoutError):
        return False
    except OllamaMaxError:
        return True
    return False
