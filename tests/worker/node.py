"""A real node process on the real Valkey under its own Redis user, and a reader of its frames, for the tests."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import redis

from cluster.engines.build import EngineChoice
from cluster.worker import identity as identities
from cluster.worker.identity import Identity
from ollamamax import contract
from ollamamax.bus import keys
from ollamamax.bus.connect import connect, elsewhere
from ollamamax.kernel.ids import new_id
from tests.patience import LONG, wait_for

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]


def make_user(admin: redis.Redis, node: str, password: str) -> None:
    """What the control plane does when a node joins."""
    admin.execute_command("ACL", "SETUSER", f"node.{node}", "reset", "on", f">{password}", *keys.node_acl(node))


def make_identity(url: str, engine: EngineChoice, control: str = "http://127.0.0.1:1") -> Identity:
    """A node with a Redis user of its own on the server at ``url``."""
    node, password = new_id(), secrets.token_hex(16)
    with contextlib.closing(connect(url)) as admin:
        make_user(admin, node, password)
    return Identity(
        node=node,
        name="test",
        tenant=new_id(),
        secret="omxn_" + secrets.token_hex(16),
        redis_url=elsewhere(f"redis://node.{node}:{password}@", url),
        url=control,
        engine=engine,
    )


class Node:
    """`ollamamax-node run` as a process of its own. ``ahead``: seconds by which its clock is wrong."""

    def __init__(self, identity: Identity, home: Path, redis_url: str, *options: str, ahead: float = 0.0) -> None:
        self.ahead = ahead
        self.identity = identity
        self.id = identity.node
        self.home = home
        self.redis = connect(redis_url)
        self.options = options
        self.log = home / "log"
        if not (home / identities.FILE).exists():
            identities.write(home, identity)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *self._program(), "run", "--home", str(self.home), *self.options],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
        )

    def _program(self) -> list[str]:
        if not self.ahead:
            return ["-m", "cluster.worker.cli"]
        shifted = f"import time; true = time.time; time.time = lambda: true() + {self.ahead}"
        return ["-c", f"{shifted}; from cluster.worker.cli import main; main()"]

    def restart(self) -> None:
        self.process = self._start()

    def state(self) -> contract.NodeState | None:
        data = self.redis.get(keys.node_state(self.id))
        return contract.decode_node_state(data, self.id) if data else None

    def wait_ready(self, boot_other_than: str = "") -> contract.NodeState:
        def ready() -> contract.NodeState | None:
            if self.process.poll() is not None:
                raise AssertionError(f"the node ended: {self.log.read_text()[-3000:]}")
            state = self.state()
            return state if state is not None and state.boot != boot_other_than else None

        return wait_for(ready, LONG, "the node's state") or self.wait_ready()

    def wake(self) -> None:
        """Send the Celery message as the admitting script does, when no drain stands."""
        if not self.redis.set(keys.node_drain(self.id), "test", nx=True, px=5000):
            return
        self.send("cluster.drain_inbox")

    def send(self, task: str, *args: Any, **kwargs: Any) -> None:
        """One Celery message (protocol 2), written as kombu writes it."""
        self.redis.lpush(keys.node_queue(self.id), celery_message(task, keys.node_queue(self.id), args, kwargs))

    def push(self, ticket: contract.Ticket) -> None:
        self.redis.rpush(keys.node_inbox(self.id), contract.encode_ticket(ticket))
        self.wake()

    def control(self, control: contract.Control) -> int:
        return int(self.redis.publish(keys.node_control(self.id), contract.encode_control(control)))

    def done(self) -> dict[str, dict[str, Any]]:
        """The node's done stream: ticket -> how it ended."""
        entries: Any = self.redis.xrange(keys.node_done(self.id))
        return {fields[b"t"].decode(): msgspec.json.decode(fields[b"r"]) for _, fields in entries}

    def log_lines(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.log.read_bytes().splitlines() if line.startswith(b"{")]

    def stop(self, seconds: float = 40) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(seconds)

    def end(self) -> None:
        """After a test: as an operator would; by force only when that does not help."""
        try:
            self.stop(15)
        except subprocess.TimeoutExpired:
            self.kill()
        self.redis.close()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LONG)


def celery_message(task: str, queue: str, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> bytes:
    import base64

    number = new_id()
    body = base64.b64encode(
        msgspec.json.encode([args, kwargs or {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    )
    return msgspec.json.encode(
        {
            "body": body.decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": task,
                "id": number,
                "root_id": number,
                "parent_id": None,
                "group": None,
                "retries": 0,
                "timelimit": [None, None],
                "argsrepr": "()",
                "kwargsrepr": "{}",
                "ignore_result": True,
            },
            "properties": {
                "correlation_id": number,
                "delivery_mode": 1,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": number,
            },
        }
    )


@dataclass
class Got:
    """What one ticket's frames brought, and how the numbering looked."""

    events: list[contract.Event] = field(default_factory=list)
    gaps: int = 0
    doubles: int = 0
    frames: int = 0

    @property
    def end(self) -> contract.Final | contract.Failure | None:
        last = self.events[-1] if self.events else None
        return last if isinstance(last, contract.Final | contract.Failure) else None

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, contract.Delta))

    @property
    def tokens(self) -> int:
        return sum(event.tokens for event in self.events if isinstance(event, contract.Delta))


class Gateway:
    """The far end: listens to one node as a gateway does, with the numbering checked."""

    def __init__(self, node: Node, *, drop: Callable[[contract.Frame], bool] = lambda _: False) -> None:
        self.id = new_id()
        self.node = node
        self.drop = drop
        self.frames: list[contract.Frame] = []
        self.got: dict[str, Got] = {}
        self._listen()

    def _listen(self) -> None:
        self.pubsub = self.node.redis.pubsub()
        self.pubsub.subscribe(keys.tokens(self.node.id, self.id))
        wait_for(lambda: self.pubsub.get_message(timeout=1), what="subscription")

    def ticket(
        self,
        content: str = "Say hello.",
        *,
        model: str = "stub",
        version: str = "sha256:" + "0" * 64,
        deadline: float = 60.0,
        left: float | None = None,
        **options: Any,
    ) -> contract.Ticket:
        inference = contract.Inference(
            "chat", messages=[{"role": "user", "content": content}], options=contract.Options(**options)
        )
        return contract.Ticket(
            id=new_id() + ".1",
            gateway=self.id,
            tenant=self.node.identity.tenant,
            version=version,
            model=model,
            deadline=time.time() + deadline,
            left=left,
            traceparent="00-" + secrets.token_hex(16) + "-" + secrets.token_hex(8) + "-01",
            inference=inference,
        )

    def run(self, content: str = "Say hello.", **how: Any) -> contract.Ticket:
        """Give the node a ticket."""
        ticket = self.ticket(content, **how)
        self.node.push(ticket)
        return ticket

    def read(self, seconds: float = 0.0) -> None:
        """Take in what has come; wait up to ``seconds`` for the first of it."""
        message = self.pubsub.get_message(timeout=seconds)
        while message is not None:
            if message["type"] == "message":
                for frame in contract.decode_frames(message["data"]):
                    self.take(frame)
            message = self.pubsub.get_message(timeout=0.0)

    def take(self, frame: contract.Frame) -> None:
        self.frames.append(frame)
        if self.drop(frame):
            return
        got = self.got.setdefault(frame.ticket, Got())
        got.frames += 1
        expected = len(got.events)
        if frame.seq > expected:
            got.gaps += 1
            self.node.control(contract.Control("resend", frame.ticket, self.id, expected))
            return
        got.doubles += expected - frame.seq
        got.events += frame.events[expected - frame.seq :]

    def until(self, condition: Callable[[], Any], seconds: float = LONG, what: str = "") -> None:
        """Read until ``condition`` holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what}; {self.got}"[:2000])
            self.read(0.05)

    def wait(self, ticket: contract.Ticket, seconds: float = LONG) -> Got:
        """Read until ``ticket`` has ended."""
        self.until(lambda: (got := self.got.get(ticket.id)) is not None and got.end is not None, seconds, ticket.id)
        return self.got[ticket.id]
