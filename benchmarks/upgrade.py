"""What clients and administrators see while every process of an older release is replaced by one of this code, one after the other, and back again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.client import expected_text
from benchmarks.installation import PATIENCE, Installation, Release, installation
from benchmarks.interruptions import Clients
from benchmarks.product import ROOT, NotStarted, ask, free_port

ENGINE = ["--first-token-ms", "200", "--owned-by", "vllm"]
TOKENS = 40
EVERY = 50
CONTROL = "control: web killed, and begun anew"
"""Shows that a failure would have been seen."""


@dataclass(frozen=True)
class Size:
    """``streams`` in flight; every step is watched for ``watched`` seconds more."""

    streams: int = 16
    administrators: int = 2
    nodes: int = 2
    watched: float = 8.0


@dataclass
class Step:
    """One process replaced: how long it took, and what failed from then to the next."""

    what: str
    seconds: float
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    asked: int = 0
    refused: list[str] = field(default_factory=list)


class Administrators:
    """They read and change things through the management API over kept connections, again and again."""

    def __init__(self, url: str, key: str, count: int) -> None:
        self._url, self._key, self._count = url, key, count
        self.asked = 0
        self.refused: list[str] = []

    async def run(self, over: asyncio.Event) -> None:
        await asyncio.gather(*(self._one(number, over) for number in range(self._count)))

    async def _one(self, number: int, over: asyncio.Event) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
            turn = 0
            while not over.is_set():
                turn += 1
                for path in ("/api/v1/nodes", "/api/v1/models", "/api/v1/requests", "/api/v1/keys", "/api/v1/usage"):
                    await self._ask(session, "GET", path)
                name = f"upgrade {number} {turn}"
                made = await self._ask(session, "POST", "/api/v1/keys", {"name": name})
                if made is not None:
                    await self._ask(session, "DELETE", f"/api/v1/keys/{made['id']}")
                await asyncio.sleep(0.2)

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        self.asked += 1
        try:
            async with session.request(method, self._url + path, json=body) as answer:
                text = await answer.text()
                if answer.status >= 400:
                    self.refused.append(f"{method} {path}: {answer.status} {text[:200]}")
                    return None
                found: dict[str, Any] | None = json.loads(text) if text else None
                return found
        except (aiohttp.ClientError, TimeoutError) as error:
            self.refused.append(f"{method} {path}: {type(error).__name__} {error}")
            return None


def measure(before: Path, size: Size) -> list[Step]:
    """``before``: a checkout of the older release."""
    with installation() as made:
        return asyncio.run(_measure(made, Release("before", before), Release("now", ROOT), size))


async def _measure(made: Installation, old: Release, new: Release, size: Size) -> list[Step]:
    async with made.door.open():
        await asyncio.to_thread(made.finish, old, "static", "manage", "collectstatic", "--noinput", "--verbosity", "0")
        await asyncio.to_thread(made.finish, old, "prepare-before", "manage", "prepare")
        made.key = json.loads((made.folder / "home" / "bootstrap.json").read_text())["api_key"]
        await made.web(old)
        made.start(old, "controller-before", "ollamamax.cli", "controller")
        await asyncio.to_thread(_join, made, old, size.nodes)
        for number in range(size.nodes):
            made.node(old, f"node-{number}")
        model = await _model(made)
        clients = Clients([made.door.url], made.key, size.streams, TOKENS, f"Count, every {EVERY} ms", model=model)
        administrators = Administrators(made.door.url, made.key, size.administrators)
        over = asyncio.Event()
        running = [
            asyncio.create_task(clients.run(over, expected_text(TOKENS))),
            asyncio.create_task(administrators.run(over)),
        ]
        await asyncio.sleep(5)
        steps: list[Step] = []
        watch = Watch(clients, administrators, steps, size.watched)
        await watch.step("nothing", asyncio.sleep(0))
        await watch.step(
            "migrations of this code", asyncio.to_thread(made.finish, new, "prepare-now", "manage", "prepare")
        )
        for release, words in ((new, "this code"), (old, "the release before, with this code's tables")):
            await watch.step(f"web: {words}", _replace_web(made, release))
            await watch.step(f"controller: {words}", _replace_controller(made, release))
            for number in range(size.nodes):
                await watch.step(f"node {number + 1}: {words}", _replace_node(made, release, number))
        await watch.step(CONTROL, _kill_web(made, new))
        over.set()
        await asyncio.gather(*running)
        watch.count()
        return steps


class Watch:
    """Divides what clients and administrators were told among the steps."""

    def __init__(self, clients: Clients, administrators: Administrators, steps: list[Step], seconds: float) -> None:
        self._clients, self._administrators, self._steps, self._seconds = clients, administrators, steps, seconds
        self._told = len(clients.told)
        self._asked, self._refused = administrators.asked, len(administrators.refused)

    async def step(self, what: str, act: Any) -> None:
        begun = time.monotonic()
        await act
        self._steps.append(Step(what, time.monotonic() - begun))
        await asyncio.sleep(self._seconds)
        self.count()
        print(f"  {_line(self._steps[-1])}", flush=True)

    def count(self) -> None:
        """What was told since the last count belongs to the last step."""
        step = self._steps[-1]
        told = self._clients.told[self._told :]
        step.answered += sum(each.end == "ok" and each.right for each in told)
        step.failed += [
            f"{each.end} {each.status.decode()} {each.complaint}" for each in told if each.end != "ok" or not each.right
        ]
        step.asked += self._administrators.asked - self._asked
        step.refused += self._administrators.refused[self._refused :]
        self._told += len(told)
        self._asked, self._refused = self._administrators.asked, len(self._administrators.refused)


def _join(made: Installation, old: Release, nodes: int) -> None:
    ports = [free_port() for _ in range(nodes)]
    for number, port in enumerate(ports):
        made.start(Release("now", ROOT), f"engine-{number}", "tests.fakes.stub_engine", "--port", str(port), *ENGINE)
    token = ask(f"{made.door.url}/api/v1/nodes/tokens", made.key, {"expires_in": 600, "max_uses": nodes})["token"]
    for number, port in enumerate(ports):
        made.finish(
            old, f"join-{number}", "cluster.worker.cli", "join", made.door.url, "--token", token, "--engine", "openai",
            "--engine-url", f"http://127.0.0.1:{port}", "--home", str(made.folder / f"node-{number}"),
            "--name", f"node-{number}", "--slots", "64",
        )  # fmt: skip


async def _model(made: Installation) -> str:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OSError):  # of a door behind which nobody is ready just now
            listed = (await asyncio.to_thread(ask, f"{made.door.url}/v1/models", made.key))["data"]
            for each in listed:
                if "stub" in each["id"]:
                    return str(each["id"])
        await asyncio.sleep(0.2)
    raise NotStarted("no node told its model")


async def _replace_web(made: Installation, release: Release) -> None:
    old = [(name, each) for name in made.processes for each in made.door.backends if name == f"web-{each.port}"]
    await made.web(release)
    for name, backend in old:
        await made.stop(name)
        made.door.backends.remove(backend)


async def _kill_web(made: Installation, release: Release) -> None:
    for backend in list(made.door.backends):
        process = made.processes.pop(f"web-{backend.port}")
        process.kill()
        process.wait()
        made.door.backends.remove(backend)
    await made.web(release)


async def _replace_controller(made: Installation, release: Release) -> None:
    old = next(name for name in made.processes if name.startswith("controller-"))
    made.start(release, f"controller-{time.monotonic_ns()}", "ollamamax.cli", "controller")
    await asyncio.sleep(3)
    await made.stop(old)


async def _replace_node(made: Installation, release: Release, number: int) -> None:
    name = f"node-{number}"
    await made.stop(name)
    made.node(release, name)


def _line(step: Step) -> str:
    kinds = Counter(step.failed + step.refused)
    return (
        f"{step.what}: {step.seconds:.1f} s; {step.answered} answers right, {len(step.failed)} failed; {step.asked} calls of the "
        f"management API, {len(step.refused)} failed {kinds.most_common(4) or ''}"
    )


def failures(steps: list[Step]) -> int:
    """Of all steps but the one that is to fail."""
    return sum(len(step.failed) + len(step.refused) for step in steps if step.what != CONTROL)


def seen(steps: list[Step]) -> bool:
    """Whether the step that is to fail did."""
    return any(step.failed or step.refused for step in steps if step.what == CONTROL)


def report(steps: list[Step], size: Size) -> str:
    lines = [
        f"{size.streams} streams of {TOKENS} tokens, one every {EVERY} ms, {size.administrators} administrators; {size.nodes} nodes, one web process and "
        f"one controller, whose successors begin before they end; {size.watched:g} s after each step",
        "",
        "| replaced | s | answers | failed | calls of the management API | failed |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {step.what} | {step.seconds:.1f} | {step.answered} | {len(step.failed)} | {step.asked} | {len(step.refused)} |"
        for step in steps
    ]
    return "\n".join([*lines, "", f"Failed in all, the control apart: {failures(steps)}."])
