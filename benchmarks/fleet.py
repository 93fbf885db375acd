"""A product with several nodes and gateways, each a process that can be killed and started again; every node has an engine of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import redis

from benchmarks.product import NOT_OURS, ROOT, NotStarted, Place, ask, free_port, placed, wait_for
from benchmarks.rows import rows
from ollamamax.bus import keys
from ollamamax.embedded.environment import of_running
from ollamamax.embedded.home import Home

PATIENCE = 60.0


@dataclass
class Part:
    """A process that may die: ``start`` makes it anew, with the same address and identity."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self.start()


@dataclass
class Fleet:
    """``gateways`` by their addresses, ``nodes`` and ``engines`` by the node's name. ``url`` is the product's own web process."""

    url: str
    key: str
    redis: redis.Redis
    database: str
    environ: dict[str, str]
    gateways: dict[str, Part] = field(default_factory=dict)
    nodes: dict[str, Part] = field(default_factory=dict)
    engines: dict[str, Part] = field(default_factory=dict)

    def ids(self) -> dict[str, str]:
        """Node ids by name."""
        return {
            each["name"]: uuid.UUID(each["id"]).hex for each in ask(f"{self.url}/api/v1/nodes", self.key)["results"]
        }

    def whole(self) -> bool:
        """Every node is alive and has its model, every gateway answers."""
        for node in self.ids().values():
            state = self.redis.get(keys.node_state(node))
            if not isinstance(state, bytes) or not json.loads(state).get("models"):
                return False
        for url in self.gateways:
            try:
                ask(f"{url}/v1/models", self.key, seconds=2)
            except OSError:
                return False
        return True

    def wait(self) -> None:
        """Until it is whole. Raises `NotStarted`."""
        until = time.monotonic() + PATIENCE
        while not self.whole():
            if time.monotonic() > until:
                raise NotStarted("a part that was started again is not back")
            time.sleep(0.2)

    def leaks(self) -> dict[str, int]:
        """What Redis still holds of requests; empty when nothing is under way and nothing was forgotten."""
        found = {"open records": self.redis.hlen(keys.OPEN), "waiting": self.redis.zcard(keys.WAITING)}
        for name, pattern in (
            ("slots", keys.node_slots("*")),
            ("tickets in inboxes", keys.node_inbox("*")),
            ("claimed tickets", keys.node_claimed("*")),
            ("active requests", keys.active("*")),
            ("queue entries", "omx:queue:entry:*"),
            ("queues", "omx:queue:node:*"),
        ):
            # An empty collection has no key.
            found[name] = sum(1 for _ in self.redis.scan_iter(pattern, count=1000))
        return {name: int(count) for name, count in found.items() if count}

    def orphans(self) -> int:
        """Requests that hold a slot for a gateway whose connections are gone."""
        owners = Counter(json.loads(opened)["gateway"] for opened in self.redis.hvals(keys.OPEN))
        if not owners:
            return 0
        listeners = self.redis.pubsub_numsub(*(keys.granted(gateway) for gateway in owners))
        return sum(count for count, (_, heard) in zip(owners.values(), listeners, strict=True) if not heard)

    def settled(self, seconds: float) -> tuple[float, dict[str, int]]:
        """Wait until Redis holds nothing of any request: how long that took, and what is left when it took too long."""
        begun = time.monotonic()
        while left := self.leaks():
            if time.monotonic() - begun > seconds:
                break
            time.sleep(0.1)
        return time.monotonic() - begun, left

    def records(self) -> dict[str, str]:
        """Request id -> outcome, of every usage record in PostgreSQL, once those on their way are there."""
        until = time.monotonic() + PATIENCE
        while self.redis.xlen(keys.USAGE) and time.monotonic() < until:
            time.sleep(0.2)
        found = rows(self.database, "SELECT request, outcome FROM metering_usagerecord")
        return {request.hex: outcome for request, outcome in found}


def _nothing(_: Place) -> None:
    """Of its own accord a fleet needs no more than its place."""


@contextlib.contextmanager
def fleet(
    *,
    nodes: int,
    slots: int,
    gateways: int,
    engine: list[str],
    settings: Mapping[str, str] = MappingProxyType({}),
    node_options: Sequence[str] = (),
    redis_of: Callable[[str], str] = str,
    prepare: Callable[[Place], None] = _nothing,
) -> Iterator[Fleet]:
    """Start it; ``engine`` are further options of each stub engine, ``settings`` those of the gateways, ``node_options`` those of each node. ``redis_of``: where
    a node reaches the Redis that listens at an address; ``prepare`` is called before anything runs. It is ended and deleted afterwards."""
    with placed(ROOT, nodes=0) as place:
        prepare(place)
        ports = {f"node-{number}": free_port() for number in range(1, nodes + 1)}

        def starts_engine(name: str) -> Callable[[], subprocess.Popen[bytes]]:
            return lambda: place.start(
                f"engine-of-{name}", "tests.fakes.stub_engine", "--port", str(ports[name]), *engine
            )

        def starts_node(name: str) -> Callable[[], subprocess.Popen[bytes]]:
            return lambda: place.start(
                name, "cluster.worker.cli", "run", "--home", str(place.folder / name), *node_options
            )

        engines = {name: _part(f"engine of {name}", starts_engine(name)) for name in ports}
        key = place.up()
        environ = _environ(place)
        made = Fleet(place.url, key, redis.Redis.from_url(environ["REDIS_URL"]), environ["DATABASE_URL"], environ)
        place.stack.callback(made.redis.close)
        token = ask(f"{place.url}/api/v1/nodes/tokens", key, {"expires_in": 600, "max_uses": nodes})["token"]
        joining = [
            place.start(
                f"join-{name}", "cluster.worker.cli", "join", place.url, "--token", token, "--engine", "openai",
                "--engine-url", f"http://127.0.0.1:{port}", "--home", str(place.folder / name), "--name", name,
                "--slots", str(slots), "--redis-url", redis_of(environ["OLLAMAMAX_NODE_REDIS_URL"]),
            )
            for name, port in ports.items()
        ]  # fmt: skip
        for name, process in zip(ports, joining, strict=True):
            if process.wait(60):
                raise NotStarted(place.log(f"join-{name}").read_text()[-2000:])
        made.engines = engines
        made.nodes = {name: _part(name, starts_node(name)) for name in ports}
        for number in range(gateways):
            port = free_port()
            start = _starts_gateway(place, f"gateway-{number + 1}", environ | {"PORT": str(port), **settings})
            made.gateways[f"http://127.0.0.1:{port}"] = _part(f"gateway-{number + 1}", start)
        some = next(iter(made.nodes.values())).process
        # The controller finds the engines' model, and the gateways are told of it.
        wait_for(lambda: _lists(made), some, place.log("node-1"))
        made.wait()
        yield made


def _environ(place: Place) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in NOT_OURS}
    return kept | of_running(Home(place.home)) | {"PYTHONPATH": str(place.source)}


def _starts_gateway(place: Place, name: str, environ: dict[str, str]) -> Callable[[], subprocess.Popen[bytes]]:
    return lambda: place.start(name, "ollamamax.cli", "web", environ=environ)


def _part(name: str, start: Callable[[], subprocess.Popen[bytes]]) -> Part:
    return Part(name, start, start())


def _lists(made: Fleet) -> bool:
    for url in made.gateways:
        try:
            if '"stub:' not in json.dumps(ask(f"{url}/v1/models", made.key, seconds=2)):
                return False
        except OSError:
            return False
    return True
