"""The control loops with many nodes: real joins, the nodes' real protocol with Redis, no engines. No row is put behind the product.

Each simulated node joins through the API, logs in to Redis as its own user, listens on its control channel, and reports its state once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import resource
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, LiteralString

import msgspec
import redis

from benchmarks.conditions import conditions
from benchmarks.product import ROOT, ask, placed, processes_of
from benchmarks.rows import rows
from cluster.engines.build import EngineChoice
from cluster.worker.identity import Identity
from cluster.worker.join import join
from ollamamax.bus import keys
from ollamamax.bus.pipelined import Pipelined
from ollamamax.bus.subscription import Hearing
from ollamamax.contract import Engine, ModelState, NodeState, StateBrief, encode_json, models_digest
from ollamamax.contract.loop_state import LoopState, decode_loop_state
from ollamamax.embedded.environment import of_running
from ollamamax.embedded.home import Home

JOINING = 8
"""Joins at once."""
LISTENING = 1000
"""So many nodes listen on their control channels: a second connection of each."""
STATE_MS = 4000


@dataclass(frozen=True)
class Size:
    nodes: int = 1000
    models: int = 50
    """Of each node, kept by its engine itself; the same ones on all."""
    keys: int = 0
    seconds: float = 60.0
    """For which nothing changes and the loops are measured."""


@dataclass
class Found:
    """``processor``: share of one core that a process took while nothing changed. ``loops``: the share of a core that a loop's
    thread took in the controller then, milliseconds of its last run, and its period."""

    nodes: int
    replicas: int
    keys: int
    join_seconds: float
    taken_note_seconds: float
    change_seconds: float
    processor: dict[str, float] = field(default_factory=dict)
    loops: dict[str, tuple[float, float, float]] = field(default_factory=dict)


class SimulatedNode:
    """Says what a node without work says."""

    def __init__(self, identity: Identity, models: list[ModelState]) -> None:
        self.id = identity.node
        self.models = models
        self._identity = identity
        self._commands = Pipelined(identity.redis_url)
        self._seq = 0

    async def report(self) -> None:
        self._seq += 1
        engines = [Engine("ollama", True, version="0.12.0")]
        state = NodeState(
            node=self.id, tenant=self._identity.tenant, boot="simulated", seq=self._seq, at=time.time(), agent_version="simulated",
            engines=engines, capacity=4, running=0, waiting=0, tokens_per_second=0.0, models=self.models, cpu_percent=1.0,
            cpu_count=8, memory_used=1 << 30, memory_total=1 << 35, disk_used=1 << 30, disk_total=1 << 40,
            network_received_per_second=0.0, network_sent_per_second=0.0, models_digest=models_digest(self.models, engines),
        )  # fmt: skip
        data = encode_json(state)
        brief = encode_json(StateBrief(self.id, state.agent_version, state.models_digest))
        await self._commands.do_all(
            [
                ("SET", keys.node_state(self.id), data, "PX", STATE_MS),
                ("PUBLISH", keys.node_state_channel(self.id), data),
                ("SET", keys.node_brief(self.id), brief, "PX", STATE_MS),
            ]
        )

    async def live(self, late: float, listens: bool) -> None:
        """Report each second, ``late`` by so much, so that not all do at once; never returns."""
        await asyncio.sleep(late)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._commands.aclose)
            while True:
                begun = time.monotonic()
                # On a busy machine Redis may not answer in time: a node tries again, too.
                with contextlib.suppress(redis.RedisError, OSError, TimeoutError):
                    if listens:
                        channels = [keys.node_control(self.id)]
                        hearing = Hearing(self._identity.redis_url, lambda *_: None, channels=channels)
                        await stack.enter_async_context(hearing)
                        listens = False
                    await self.report()
                await asyncio.sleep(max(0.0, begun + 1.0 - time.monotonic()))


def measure(size: Size) -> Found:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * size.nodes + 1000)), hard))
    with placed(ROOT, nodes=0) as place:
        place.environ |= {
            "OLLAMAMAX_MAX_KEYS_PER_TENANT": str(size.keys + 1000),
            "OLLAMAMAX_MAX_NODES_PER_TENANT": str(size.nodes + 1000),
        }
        key = place.up()
        environ = of_running(Home(place.home))
        uses = min(size.nodes, 1000)
        tokens = [
            ask(f"{place.url}/api/v1/nodes/tokens", key, {"expires_in": 3600, "max_uses": uses})["token"]
            for _ in range(-(-size.nodes // uses))
        ]
        return asyncio.run(_measure(size, place.url, key, tokens, environ, processes_of(place)))


async def _measure(
    size: Size,
    url: str,
    key: str,
    tokens: list[str],
    environ: dict[str, str],
    processes: dict[str, Callable[[], float]],
) -> Found:
    models = [
        ModelState(_digest(number), f"model-{number}:latest", "present", "ollama", size=1 << 30)
        for number in range(size.models)
    ]
    await few_at_once(
        functools.partial(asyncio.to_thread, ask, f"{url}/api/v1/keys", key, {"name": f"sim-{number}"})
        for number in range(size.keys)
    )
    begun = time.monotonic()
    nodes: list[SimulatedNode] = []

    async def join_one(number: int) -> None:
        identity = await join(
            url, tokens[number // 1000], f"sim-{number}", EngineChoice("ollama", "http://127.0.0.1:1")
        )
        nodes.append(SimulatedNode(identity, list(models)))

    await few_at_once(functools.partial(join_one, number) for number in range(size.nodes))
    joined = time.monotonic() - begun
    lives = [
        asyncio.create_task(node.live(number / size.nodes, number < LISTENING)) for number, node in enumerate(nodes)
    ]
    try:
        replicas = size.nodes * size.models
        noted = await _until(lambda: _count(environ, "state = 'present'") >= replicas, 900)
        await asyncio.sleep(10)
        before, at = {name: spent() for name, spent in processes.items()}, time.monotonic()
        earlier = await asyncio.to_thread(_loops, environ["REDIS_URL"])
        await asyncio.sleep(size.seconds)
        took = time.monotonic() - at
        shares = {name: (spent() - before[name]) / took for name, spent in processes.items()}
        later = await asyncio.to_thread(_loops, environ["REDIS_URL"])
        loops = {
            name: (_share(earlier.get(name), state), state.took_ms, state.every_ms) for name, state in later.items()
        }
        changed = msgspec.structs.replace(models[0], state="failed", error="measured")
        nodes[-1].models[0] = changed
        await nodes[-1].report()
        seen = await _until(lambda: _count(environ, "state = 'failed'") == 1, 60)
        return Found(size.nodes, replicas, size.keys, joined, noted, seen, shares, loops)
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)


async def few_at_once(works: Iterable[Callable[[], Awaitable[object]]]) -> None:
    left = iter(works)

    async def worker() -> None:
        for work in left:
            await work()

    await asyncio.gather(*(worker() for _ in range(JOINING)))


async def _until(condition: Callable[[], bool], seconds: float) -> float:
    """How long it took. Raises `TimeoutError`."""
    begun = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.05)
    return time.monotonic() - begun


def _count(environ: dict[str, str], which: str) -> int:
    queries: dict[str, LiteralString] = {
        "state = 'present'": "SELECT count(*) FROM models_registry_replica WHERE state = 'present'",
        "state = 'failed'": "SELECT count(*) FROM models_registry_replica WHERE state = 'failed'",
    }
    ((count,),) = rows(environ["DATABASE_URL"], queries[which])
    return int(count)


def _loops(redis_url: str) -> dict[str, LoopState]:
    with redis.Redis.from_url(redis_url) as client:
        held: Any = client.hgetall(keys.LOOPS)
    states = [decode_loop_state(value) for value in held.values()]
    return {state.loop: state for state in sorted(states, key=lambda state: state.loop)}


def _share(earlier: LoopState | None, later: LoopState) -> float:
    """Of one core, from one run of the loop to a later one; 0.0 where there was none between."""
    if earlier is None or later.began_at <= earlier.began_at:
        return 0.0
    return (later.spent_ms - earlier.spent_ms) / 1000 / (later.began_at - earlier.began_at)


def _digest(number: int) -> str:
    return "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()


def report(found: Found) -> str:
    lines = [
        conditions(),
        f"{found.nodes} nodes, {found.replicas} replicas, {found.keys} keys; joined in {found.join_seconds:.1f} s, all taken note of {found.taken_note_seconds:.1f} s later.",
        f"A change of one node was written {found.change_seconds:.2f} s after it was said.",
        "With nothing changing, share of one core:",
        *(f"  {name:14} {100 * share:5.1f} %" for name, share in sorted(found.processor.items())),
        "The loops in the controller:",
        *(
            f"  {name:36} {100 * share:5.2f} % of a core, last run {took:8.1f} ms of each {every:8.0f} ms"
            for name, (share, took, every) in found.loops.items()
        ),
    ]
    return "\n".join(lines)
