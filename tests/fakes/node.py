"""A node that speaks the wire as the real one does, with a script in place of an engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import msgspec

from cluster.worker.memory import leave_out_keep_alive
from ollamamax.bus import connect, keys
from ollamamax.bus.pipelined import Pipelined
from ollamamax.bus.subscription import Hearing
from ollamamax.contract import (
    Control,
    Delta,
    Engine,
    Event,
    Failure,
    Final,
    Frame,
    Gpu,
    ModelState,
    NodeState,
    Started,
    Ticket,
    decode_control,
    decode_ticket,
    encode_frames,
    encode_json,
)
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.tasks import end

Script = Callable[[Ticket], AsyncIterator[Event]]


async def echo(ticket: Ticket) -> AsyncIterator[Event]:
    """Says the last message back, a word a delta; one token for each word. What another node has said is not said again."""
    asked = ticket.inference
    whole = str(asked.messages[-1]["content"]) if asked.messages else asked.prompt.removesuffix(asked.continued)
    words = [(" " if index else "") + word for index, word in enumerate(whole.split(" "))]
    left = words[asked.continued_tokens :]
    for word in left:
        yield Delta(text=word, tokens=1)
    yield Final("stop", prompt_tokens=7, completion_tokens=len(left), prompt_ms=1.5, eval_ms=2.5)


class FakeNode:
    """``async with`` runs it. ``tickets`` and ``controls`` hold what it received."""

    ahead = 0.0
    """Seconds by which its clock is wrong."""
    state_lifetime = 4.0
    """Seconds for which Redis keeps what it said last."""

    def __init__(
        self, redis_url: str, node: str, tenant: str, version: str, *, script: Script = echo, capacity: int = 4
    ) -> None:
        self.node = node
        self.tickets: list[Ticket] = []
        self.controls: list[Control] = []
        self.dead = False
        self.lose_frames = 0
        self.models = [ModelState(version, "echo", "loaded", "llamacpp")]
        self.engines = [Engine("llamacpp", True, hosts_blobs=True)]
        self.draining = False
        self.mute = False
        """It says nothing of how it is, and does all else."""
        self.loaded = True
        self.loaded_context: int | None = None
        self.gpus: list[Gpu] = []
        self._tenant = tenant
        self._script = script
        self._capacity = capacity
        self._client = connect.connect_async(redis_url)
        # As in the real node: a task that is cancelled while redis-py writes may go on as if nothing had been said.
        self._frames = Pipelined(redis_url)
        self._redis_url = redis_url
        self._tasks: list[asyncio.Task[None]] = []
        self._running: dict[str, asyncio.Task[None]] = {}
        self._sent: dict[str, tuple[str, list[Event]]] = {}
        self._seq = 0

    async def __aenter__(self) -> FakeNode:
        await self.say()
        listening = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._tell()),
            asyncio.create_task(self._claim()),
            asyncio.create_task(self._listen(listening)),
        ]
        await listening.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        await self._frames.aclose()
        await self._client.aclose()

    @property
    def said(self) -> int:
        """How many events of its latest ticket it has sent."""
        return len(self._sent[self.tickets[-1].id][1]) if self.tickets and self.tickets[-1].id in self._sent else 0

    async def kill(self) -> None:
        """As a power cut: nothing is said any more."""
        self.dead = True
        await end([*self._tasks, *self._running.values()])

    async def say(self) -> None:
        self._seq += 1
        state = NodeState(
            node=self.node,
            tenant=self._tenant,
            boot="boot",
            seq=self._seq,
            at=time.time() + self.ahead,
            agent_version="test",
            engines=self.engines,
            capacity=self._capacity,
            running=len(self._running),
            waiting=0,
            tokens_per_second=0.0,
            models=self.models,
            cpu_percent=1.0,
            cpu_count=1,
            memory_used=1,
            memory_total=2,
            disk_used=1,
            disk_total=2,
            network_received_per_second=0.0,
            network_sent_per_second=0.0,
            gpus=self.gpus,
            gpu_note=None if self.gpus else "a test",
            draining=self.draining,
        )
        data = encode_json(state)
        await self._client.set(keys.node_state(self.node), data, px=round(1000 * self.state_lifetime))
        await self._client.publish(keys.node_state_channel(self.node), data)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(0.3)
            if not self.mute:
                await self.say()

    async def _claim(self) -> None:
        inbox, claimed = keys.node_inbox(self.node), keys.node_claimed(self.node)
        while True:
            payload = await self._client.blmove(inbox, claimed, 1, "LEFT", "RIGHT")
            if payload is None:
                continue
            ticket = decode_ticket(payload)
            self.tickets.append(ticket)
            self._running[ticket.id] = asyncio.create_task(self._run(ticket, payload))

    async def _run(self, ticket: Ticket, payload: bytes) -> None:
        self._sent[ticket.id] = (ticket.gateway, [])
        try:
            ignored = leave_out_keep_alive(ticket, self._tenant)
            await self._send(ticket, Started(time.time() + self.ahead, self.loaded, self.loaded_context, ignored))
            async for event in self._script(ticket):
                if isinstance(event, Final):
                    event.keep_alive_ignored = ignored
                await self._send(ticket, event)
        except OllamaMaxError as error:
            await self._send(ticket, Failure(error.code, error.message, error.status))
        except asyncio.CancelledError:
            await self._send(ticket, Failure("cancelled", "cancelled", 499, None, 7, len(self._sent[ticket.id][1]) - 1))
            raise
        finally:
            self._running.pop(ticket.id, None)  # first: nobody cancels what is at its end
            await self._client.lrem(keys.node_claimed(self.node), 1, payload)
            if not self.dead:
                counts = {"completion_tokens": sum(isinstance(each, Delta) for each in self._sent[ticket.id][1])}
                await self._client.xadd(keys.node_done(self.node), {"t": ticket.id, "r": encode_json(counts)})

    async def _send(self, ticket: Ticket, event: Event) -> None:
        gateway, events = self._sent[ticket.id]
        events.append(event)
        if self.dead:
            return
        if self.lose_frames:
            self.lose_frames -= 1
            return
        await self._publish(gateway, Frame(ticket.id, len(events) - 1, [event]))

    async def _publish(self, gateway: str, frame: Frame) -> None:
        await self._frames.do("PUBLISH", keys.tokens(self.node, gateway), encode_frames([frame]))

    async def _listen(self, listening: asyncio.Event) -> None:
        """Until Redis is away: unlike a real node this one ends then."""
        while True:
            async with Hearing(self._redis_url, self._obey, channels=[keys.node_control(self.node)]) as hearing:
                listening.set()
                await hearing.broken()

    def _obey(self, _: bytes, data: bytes) -> None:
        try:
            control = decode_control(data)
        except msgspec.DecodeError:
            return
        self.controls.append(control)
        if control.verb == "cancel" and control.ticket in self._running:
            self._running[control.ticket].cancel()
        elif control.verb == "resend" and control.ticket in self._sent:
            gateway, events = self._sent[control.ticket]
            if control.seq < len(events):
                frame = Frame(control.ticket, control.seq, events[control.seq :])
                self._tasks.append(asyncio.create_task(self._publish(gateway, frame)))
