"""What a job orders of an engine that keeps its models by itself: carried out once, its progress told in Redis."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from weakref import WeakKeyDictionary

from redis.exceptions import RedisError

from cluster.engines.base import unsupported
from cluster.engines.ollama import Ollama, Verb
from cluster.worker.agent import Agent
from ollamamax import contract, logs
from ollamamax.bus import keys
from ollamamax.bus.connect import connect_async
from ollamamax.kernel.errors import OllamaMaxError

BEAT_SECONDS = 0.5
KEEP_SECONDS = 600
"""How long the end of an order is told."""
log = logs.get("models_registry.worker.orders")


class LibraryOrders:
    """Used in the agent's loop only."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._redis = connect_async(agent.identity.redis_url)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, float] = {}

    def begin(self, order: str, verb: Verb, body: dict[str, Any]) -> None:
        """Carry it out beside everything else. Ordered again while it runs, nothing happens."""
        running = self._running.get(order)
        if running is None or running.done():
            self._running[order] = self._agent.spawn(self._carry_out(order, verb, body), f"order {order}")

    def cancel(self, order: str) -> None:
        if task := self._running.get(order):
            task.cancel()

    async def _carry_out(self, order: str, verb: Verb, body: dict[str, Any]) -> None:
        state = contract.OrderState("running", time.time())
        beat = asyncio.create_task(self._beat(order, state))
        try:
            engine = self._agent.engine
            if not isinstance(engine, Ollama):
                raise unsupported(engine.kind, verb, "its models are not its own affair")
            async for told in engine.manage(verb, body):
                _note(state.progress, told)
            state.state = "done"
        except OllamaMaxError as error:
            state.state, state.error = "failed", contract.told(error.message)
            state.code, state.status = error.code, error.status
        except asyncio.CancelledError:
            state.state, state.error, state.code, state.status = "failed", "The order was cancelled.", "cancelled", 499
        finally:
            beat.cancel()
            self._running.pop(order, None)
        self._ended[order] = time.monotonic()
        log.info("order_ended", order=order, verb=verb, state=state.state, error=state.error)
        await self._tell(order, state)

    async def _beat(self, order: str, state: contract.OrderState) -> None:
        while True:
            await self._tell(order, state)
            await asyncio.sleep(BEAT_SECONDS)

    async def _tell(self, order: str, state: contract.OrderState) -> None:
        state.at = time.time()
        try:
            key = keys.node_orders(self._agent.identity.node)
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hset(key, order, contract.encode_json(state))
                pipe.expire(key, KEEP_SECONDS)
                gone = [each for each, at in self._ended.items() if at < time.monotonic() - KEEP_SECONDS]
                if gone:
                    pipe.hdel(key, *gone)
                await pipe.execute()
            for each in gone:
                del self._ended[each]
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("order_not_told", order=order, error=str(error))

    async def close(self) -> None:
        await self._redis.aclose()


def _note(progress: list[contract.Progress], message: dict[str, Any]) -> None:
    """A message about the same blob takes the place of the last one. What does not count is left out."""
    told = contract.Progress(status=str(message.get("status", "")))
    if isinstance(message.get("digest"), str):
        told["digest"] = message["digest"]
    for name in ("total", "completed"):
        if isinstance(message.get(name), int):
            told[name] = max(0, message[name])
    for index, held in enumerate(progress):
        if held.get("digest") == told.get("digest") and held.get("status") == told.get("status"):
            progress[index] = told
            return
    progress.append(told)


_orders: WeakKeyDictionary[Agent, LibraryOrders] = WeakKeyDictionary()


def orders_of(agent: Agent) -> LibraryOrders:
    """The agent's orders. In its loop only."""
    if agent not in _orders:
        _orders[agent] = orders = LibraryOrders(agent)
        agent.closers.append(orders.close)
    return _orders[agent]
