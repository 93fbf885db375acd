"""Listens on the node's control channel: cancel, send again, pause, resume."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from cluster.worker.inbox import Inbox, restarted
from cluster.worker.outlet import Outlets
from cluster.worker.runs import Runs
from ollamamax import contract, logs
from ollamamax.bus import keys

PING_SECONDS = 5.0

log = logs.get("cluster.worker.control")


class Listener:
    def __init__(self, client: redis.asyncio.Redis, node: str, runs: Runs, inbox: Inbox, outlets: Outlets) -> None:
        self._redis = client
        self._channel = keys.node_control(node)
        self._runs = runs
        self._inbox = inbox
        self._outlets = outlets
        self.listening = asyncio.Event()
        self._questions: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Listen for ever; subscribe again after every break."""
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                self.listening.clear()
                log.warning("control_waits_for_redis", error=str(error))
                await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            while True:
                message = await pubsub.get_message(timeout=PING_SECONDS)
                if message is None:
                    # Nothing for a while: find out whether the connection still lives.
                    await pubsub.ping()
                elif message["type"] == "subscribe":
                    self.listening.set()
                elif message["type"] == "message":
                    self.obey(message["data"])

    def obey(self, data: bytes) -> None:
        """Do what one message says; an unreadable one is ignored."""
        try:
            control = contract.decode_control(data)
        except msgspec.DecodeError as error:
            log.warning("control_unreadable", error=str(error))
            return
        if control.verb == "cancel":
            if not self._runs.knows(control.ticket):
                self._inbox.cancel(control.ticket)
            else:
                self._runs.cancel(control.ticket)
            return
        run = self._runs.find(control.ticket)
        if control.verb in {"pause", "resume"}:
            if run is not None:
                run.going.clear() if control.verb == "pause" else run.going.set()
            return
        if run is not None:
            again = run.sent.sent[control.seq :]
            if again:
                self._outlets.to(control.gateway).frame(contract.Frame(control.ticket, control.seq, again))
            return
        task = asyncio.create_task(self._unknown(control))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _unknown(self, control: contract.Control) -> None:
        """A ticket that neither waits nor ran here lately was lost with the node's former process."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            if not await self._inbox.holds(control.ticket):
                frame = contract.Frame(control.ticket, control.seq, [restarted()])
                self._outlets.to(control.gateway).frame(frame)
