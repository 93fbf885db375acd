"""Simulated hosts that look as if they worked: real joins and the nodes' real messages in Redis, made-up telemetry, no engines."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import redis

from benchmarks.product import ask
from cluster.engines.build import EngineChoice
from cluster.worker.identity import Identity
from cluster.worker.join import join
from ollamamax.bus import keys
from ollamamax.contract import Engine, Gpu, ModelState, NodeState, StateBrief, encode_json, models_digest

GIB = 1 << 30
MODELS = (("llama3.3:70b", 43), ("qwen2.5-coder:32b", 20), ("mistral-small:24b", 14), ("nomic-embed-text:latest", 1))
"""Names, and GiB."""
USES = 1000
"""The most joins that one token is good for."""
STATE_MS = 4000
_SITES = ("berlin", "paris", "oslo")


@dataclass(frozen=True)
class Kind:
    """What one of the hosts is like."""

    gpus: int = 8
    slots: int = 8
    fault: str = ""
    """``hot``, ``ecc``, ``engine``, or nothing."""


def kind_of(number: int) -> Kind:
    """Of sixty hosts three have something wrong with them."""
    return Kind(fault={7: "hot", 23: "ecc", 41: "engine"}.get(number % 60, ""))


def state_of(
    node: str, tenant: str, number: int, kind: Kind, seq: int, now: float, more: Sequence[ModelState] = ()
) -> NodeState:
    """What the host says at ``now``: a busy day, a little later on each host. It receives as many kB/s as its report has a number, so
    that who sees one knows which report it is. It has ``more`` besides `MODELS`."""
    load = 0.5 + 0.45 * math.sin(now / 47 + number * 1.7)
    busy = max(0.0, min(1.0, load))
    broken = kind.fault == "engine"
    running = 0 if broken else round(busy * kind.slots)
    engines = [
        Engine("ollama", not broken, version="0.12.6", error="the runner ended with signal 9" if broken else None)
    ]
    models = [_model(name, size, loaded=place < 2 and not broken) for place, (name, size) in enumerate(MODELS)]
    models += more
    gpus = [_gpu(index, busy if running else 0.0, kind.fault if index == 0 else "", seq) for index in range(kind.gpus)]
    return NodeState(
        node=node, tenant=tenant, boot="simulated", seq=seq, at=now, agent_version="0.2.0", engines=engines,
        capacity=kind.slots, running=running, waiting=0, tokens_per_second=round(running * 41.5 * (0.9 + 0.1 * load), 1),
        models=models, cpu_percent=round(8 + 30 * busy, 1), cpu_count=64, memory_used=round((60 + 90 * busy) * GIB),
        memory_total=512 * GIB, disk_used=1700 * GIB, disk_total=3600 * GIB, network_received_per_second=1000 * (seq % 900),
        network_sent_per_second=round(9e5 * busy), gpus=gpus, models_digest=models_digest(models, engines),
    )  # fmt: skip


def _model(name: str, size: int, *, loaded: bool) -> ModelState:
    digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    if not loaded:
        return ModelState(digest, name, "present", "ollama", size=size * GIB)
    memory = round(size * 1.2) * GIB
    return ModelState(
        digest, name, "loaded", "ollama", size=size * GIB, memory=memory, vram=memory, context_length=8192, slots=4
    )


def _gpu(index: int, busy: float, fault: str, seq: int) -> Gpu:
    hot = fault == "hot"
    return Gpu(
        index, "NVIDIA H100 80GB HBM3", load_percent=round(100 * busy), memory_used=round((8 + 62 * busy) * GIB),
        memory_total=80 * GIB, temperature_celsius=92.0 if hot else round(38 + 36 * busy + index % 3),
        power_watts=round(110 + 520 * busy), power_limit_watts=700, ecc_errors=3 + seq // 600 if fault == "ecc" else 0,
        slowdown_celsius=95, clock_mhz=1100 if hot else 1830, clock_max_mhz=1980, throttled=["hot"] if hot else [],
    )  # fmt: skip


class LivelyFleet:
    """Joins hosts and reports for them each second from a thread, until it is closed."""

    def __init__(self, url: str, key: str, redis_url: str) -> None:
        self._url, self._key = url, key
        self._redis = redis.Redis.from_url(redis_url)
        self._identities: list[Identity] = []
        self._kinds: list[Kind] = []
        self.more: Sequence[ModelState] = ()
        """What each host has besides `MODELS`."""
        self.told: dict[int, float] = {}
        """When the last hundred reports were sent, by their numbers."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._report, daemon=True)

    @property
    def nodes(self) -> list[str]:
        return [each.node for each in self._identities]

    def join(self, names: Sequence[str], kinds: Sequence[Kind]) -> None:
        """Before it is started."""
        # In a thread of its own: a browser's driver has a loop in the one that asks.
        with ThreadPoolExecutor(1) as thread:
            self._identities = thread.submit(asyncio.run, self._join(names)).result()
        self._kinds = list(kinds)

    async def _join(self, names: Sequence[str]) -> list[Identity]:
        found: list[Identity] = []
        for begin in range(0, len(names), USES):
            some = names[begin : begin + USES]
            order = {"expires_in": 3600, "max_uses": len(some)}
            token = await asyncio.to_thread(ask, f"{self._url}/api/v1/nodes/tokens", self._key, order)
            limit = asyncio.Semaphore(8)

            async def one(name: str, secret: str, limit: asyncio.Semaphore) -> Identity:
                async with limit:
                    return await join(self._url, secret, name, EngineChoice("ollama", "http://127.0.0.1:1"))

            found += await asyncio.gather(*(one(name, token["token"], limit) for name in some))
        return found

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
        self._redis.close()

    def _report(self) -> None:
        seq = 0
        while not self._ended.is_set():
            begun = time.monotonic()
            seq += 1
            self.told[seq] = time.time()
            self.told.pop(seq - 100, None)
            with contextlib.suppress(redis.RedisError, OSError):
                self._report_once(seq)
            self._ended.wait(max(0.0, begun + 1.0 - time.monotonic()))

    def _report_once(self, seq: int) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for number, (identity, kind) in enumerate(zip(self._identities, self._kinds, strict=True)):
            state = state_of(identity.node, identity.tenant, number, kind, seq, time.time(), self.more)
            data = encode_json(state)
            brief = encode_json(StateBrief(state.node, state.agent_version, state.models_digest))
            pipe.set(keys.node_state(state.node), data, px=STATE_MS)
            pipe.publish(keys.node_state_channel(state.node), data)
            pipe.set(keys.node_brief(state.node), brief, px=STATE_MS)
        pipe.execute()


def names(count: int) -> list[str]:
    """``berlin-01`` and so on: a third of the hosts at each of three sites."""
    width = max(2, len(str(count // len(_SITES) + 1)))
    return [f"{_SITES[number % len(_SITES)]}-{number // len(_SITES) + 1:0{width}}" for number in range(count)]
