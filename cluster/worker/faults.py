"""The faults that a chaos experiment has this node suffer: only those that its own host allows, once each, and never for longer than it bears by itself.

What is stopped goes on by a process of its own (`cluster.worker.freeze_guard`), whatever becomes of this one, of Redis and of the control plane.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec
import psutil
import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from cluster.engines.base import EngineAdapter
from cluster.worker.runs import Runs
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract.experiment import (
    LONGEST_FAULT,
    MOST_FAULT_BYTES,
    FaultOrder,
    FaultState,
    NodeFault,
    decode_fault_order,
)
from ollamamax.kernel.tasks import end

LOOK_SECONDS = 0.5
WITHOUT_REDIS = 5.0
"""Seconds without an answer of Redis after which a fault ends: nobody can stop it meanwhile."""
FILE = "fault.json"
"""In the node's home: the last order. It is written before the fault begins, so that a node that was killed does not obey the same order again."""
_GUARD = Path(__file__).with_name("freeze_guard.py")
_KILLS: frozenset[NodeFault] = frozenset({"engine_kill", "agent_kill"})
_remembered = msgspec.json.Decoder(FaultState).decode
log = logs.get("cluster.worker.faults")


class CannotSuffer(Exception):
    """The fault cannot be brought about here; the text says why."""


@runtime_checkable
class RunsProcesses(Protocol):
    """An engine whose processes the node starts itself."""

    def pids(self) -> list[int]:
        """Of those that live."""


class SufferedFaults:
    """``allowed`` by the owner of the host; ``engine`` the adapter, and ``engine_url`` where its server listens (empty for one that the node starts)."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        node: str,
        home: Path,
        allowed: Sequence[NodeFault],
        engine: Callable[[], EngineAdapter],
        engine_url: str,
        runs: Runs,
    ) -> None:
        self.allowed = sorted(set(allowed))
        self._redis = client
        self._key = keys.node_fault(node)
        self._file = home / FILE
        self._engine = engine
        self._engine_url = engine_url
        self._runs = runs
        self._suffering: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._answered_at = 0.0
        self.state = self._recalled()

    async def watch(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        self._answered_at = loop.time()
        while True:
            try:
                await self._look()
            except (RedisError, OSError, TimeoutError) as error:
                # A node that joined an older control plane has not the right to read it until that renews its rights.
                if not isinstance(error, ResponseError):
                    log.warning("faults_wait_for_redis", error=str(error))
                if loop.time() - self._answered_at > WITHOUT_REDIS:
                    self._over.set()
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """End what is under way."""
        self._over.set()
        if self._suffering is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await asyncio.shield(self._suffering)
            await end([self._suffering])

    async def _look(self) -> None:
        data = await self._redis.get(self._key)
        self._answered_at = asyncio.get_running_loop().time()
        order = None
        if data is not None and len(data) <= MOST_FAULT_BYTES:
            try:
                order = decode_fault_order(data)
            except msgspec.DecodeError as error:
                log.warning("fault_order_unreadable", error=str(error))
        if order is None or self.state is None or order.id != self.state.id:
            self._over.set()
        if order is None or (self.state is not None and order.id == self.state.id):
            return
        if self._suffering is not None and not self._suffering.done():
            return  # the one before ends first; the next look takes this one
        self._over = asyncio.Event()
        if order.fault not in self.allowed:
            self._say(FaultState(order.id, order.fault, "refused", "The owner of this host does not allow it."))
            return
        self._say(FaultState(order.id, order.fault, "over" if order.fault in _KILLS else "on"))
        log.warning("fault_begins", order=order.id, fault=order.fault, seconds=order.seconds)
        self._suffering = asyncio.create_task(self._suffer(order), name="fault")

    async def _suffer(self, order: FaultOrder) -> None:
        try:
            await self._bring_about(order, min(order.seconds, LONGEST_FAULT))
        except (CannotSuffer, OSError, psutil.Error) as error:
            log.warning("fault_refused", order=order.id, fault=order.fault, error=str(error))
            self._say(FaultState(order.id, order.fault, "refused", str(error)[:500]))
        else:
            log.warning("fault_over", order=order.id, fault=order.fault)
            self._say(FaultState(order.id, order.fault, "over"))

    async def _bring_about(self, order: FaultOrder, seconds: float) -> None:
        if order.fault == "agent_kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif order.fault == "agent_freeze":
            await self._freeze([os.getpid()], seconds, alone=True)
        elif order.fault == "slow_answers":
            self._runs.delay = order.milliseconds / 1000
            try:
                await self._wait(seconds)
            finally:
                self._runs.delay = 0.0
        else:
            pids = await asyncio.to_thread(engine_processes, self._engine(), self._engine_url)
            if order.fault == "engine_freeze":
                await self._freeze(pids, seconds, alone=False)
                return
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def _freeze(self, pids: list[int], seconds: float, *, alone: bool) -> None:
        """Until the time is over or, unless ``alone``, the order is gone."""
        command = [sys.executable, "-P", str(_GUARD), *(["--alone"] if alone else [])]
        guard = await asyncio.to_thread(
            subprocess.Popen,
            [*command, str(seconds), *map(str, pids)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        ended = asyncio.ensure_future(asyncio.to_thread(guard.wait))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({ended} if alone else {ended, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            if guard.stdin is not None:
                guard.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await asyncio.shield(ended)
            if guard.poll() is None:
                guard.kill()
            # Whatever became of the guard.
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    def _say(self, state: FaultState) -> None:
        self._file.write_bytes(msgspec.json.encode(state))
        self.state = state

    def _recalled(self) -> FaultState | None:
        """What the process before this one was ordered: that is over, for what it had stopped goes on when it ends."""
        try:
            held = _remembered(self._file.read_bytes())
        except (OSError, msgspec.DecodeError):
            return None
        return msgspec.structs.replace(held, state="over") if held.state == "on" else held


def engine_processes(engine: EngineAdapter, url: str) -> list[int]:
    """The processes of the engine on this host, those that they started included. Raises `CannotSuffer` where there is none that this user may signal."""
    found = engine.pids() if isinstance(engine, RunsProcesses) else _listening(url)
    family = {pid for each in found for pid in (each, *_children(each))} - {os.getpid(), os.getppid()}
    mine = sorted(pid for pid in family if _may_signal(pid))
    if not mine:
        where = f"listens at {url}" if url else "serves a model"
        raise CannotSuffer(f"No process on this host that this node may signal {where}.")
    return mine


def _listening(url: str) -> set[int]:
    port = urlsplit(url).port or (443 if url.startswith("https") else 80)
    return {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.pid and each.laddr and each.laddr.port == port
    }


def _children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
