"""How the real product takes `kill -9` of a node: when the last request is sent there, when people are told, when all is well again."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

from benchmarks.load import quantile
from benchmarks.prefix import MODEL
from benchmarks.product import ROOT, NotStarted, Place, ask, placed, wait_for
from benchmarks.rows import rows
from ollamamax.embedded.environment import of_running
from ollamamax.embedded.home import Home

PATIENCE = 60.0
"""Seconds for which each step is waited for."""
LOOK = 0.1
BEGUN, WHOLE = "a copy is made elsewhere", "the copy there is whole"
GOALS = {"last request sent there": 3.0, BEGUN: 5.0, WHOLE: 10.0}
_COMING, _WHOLE = ("pending", "fetching"), ("ready", "present")
CLOSED = "incident closed, from its next start"


@dataclass(frozen=True)
class Size:
    """``clients`` ask one after the other for ``tokens`` tokens; one of the ``nodes`` is killed each round. All but one have a copy of the model."""

    nodes: int = 4
    rounds: int = 3
    clients: int = 4
    tokens: int = 16


@dataclass
class Kill:
    """Seconds from the kill; infinite for what did not come in time."""

    node: str
    after: dict[str, float] = field(default_factory=dict)
    asked: int = 0
    failed: int = 0


@dataclass
class Site:
    """The product with llama.cpp nodes that nothing starts again when they are killed."""

    place: Place
    url: str
    key: str
    database: str
    nodes: dict[str, subprocess.Popen[bytes]]

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> dict[str, Any]:
        return ask(f"{self.url}{path}", self.key, body, method=method)

    def model(self) -> str:
        """Its path. Raises `StopIteration` before it is listed."""
        found: list[dict[str, Any]] = self.ask("/api/v1/models")["results"]
        return f"/api/v1/models/{next(each['id'] for each in found if each['name'] == MODEL)}"

    def copies(self) -> dict[str, bool]:
        """By the node's name: whether the copy there, or on its way there, is whole."""
        rows = self.ask(self.model())["replicas"]
        return {each["node_name"]: each["state"] in _WHOLE for each in rows if each["state"] in (*_COMING, *_WHOLE)}

    def whole(self) -> set[str]:
        return {name for name, is_whole in self.copies().items() if is_whole}

    def lifecycle(self, name: str) -> str:
        return next(str(each["lifecycle"]) for each in self.ask("/api/v1/nodes")["results"] if each["name"] == name)

    def start(self, name: str) -> None:
        self.nodes[name] = self.place.start(name, "cluster.worker.cli", "run", "--home", str(self.place.folder / name))


@contextlib.contextmanager
def site(size: Size) -> Iterator[Site]:
    with placed(ROOT, nodes=0) as place:
        key = place.up(seconds=240)
        made = Site(place, place.url, key, of_running(Home(place.home))["DATABASE_URL"], {})
        token = made.ask("/api/v1/nodes/tokens", {"expires_in": 600, "max_uses": size.nodes})["token"]
        for number in range(1, size.nodes + 1):
            name = f"node-{number}"
            joining = place.start(
                f"join-{name}", "cluster.worker.cli", "join", place.url, "--token", token, "--engine", "llamacpp",
                "--slots", "2", "--name", name, "--home", str(place.folder / name),
            )  # fmt: skip
            if joining.wait(PATIENCE):
                raise NotStarted(place.log(f"join-{name}").read_text()[-2000:])
            made.start(name)
        first = made.nodes["node-1"]
        wait_for(lambda: _has(made, size.nodes), first, place.log("node-1"), 240)
        copies = size.nodes - 1
        made.ask(f"{made.model()}/replication", {"least": copies, "most": copies}, method="PUT")
        yield made


def _has(made: Site, count: int) -> bool:
    try:
        return len(made.whole()) >= count
    except StopIteration:
        return False


def measure(made: Site, size: Size) -> list[Kill]:
    found = []
    for _ in range(size.rounds):
        _await(lambda: len(made.copies()) == len(made.whole()) == size.nodes - 1, "a copy on each node but one")
        kill = _round(made, size)
        print(f"  {kill.node}: {_words(kill)}; {kill.failed} of {kill.asked} requests failed", flush=True)
        found.append(kill)
    return found


def _round(made: Site, size: Size) -> Kill:
    over = threading.Event()
    kill = Kill("")
    clients = [threading.Thread(target=_client, args=(made, size, kill, over)) for _ in range(size.clients)]
    for each in clients:
        each.start()
    try:
        # It must have been at work: what is sent to it is counted.
        before = made.whole()
        kill.node = _busy(made, before)
        node = next(each["id"] for each in made.ask("/api/v1/nodes")["results"] if each["name"] == kill.node)
        process = made.nodes[kill.node]
        at, began = time.time(), time.monotonic()
        process.kill()
        process.wait()
        waited: dict[str, Callable[[], bool]] = {
            "incident open": lambda: _is_open(made, node),
            "node counts as unreachable": lambda: made.lifecycle(kill.node) in ("unreachable", "lost"),
            BEGUN: lambda: bool(made.copies().keys() - before),
            WHOLE: lambda: bool(made.whole() - before),
        }
        while waited and time.monotonic() - began < PATIENCE:
            for name in [name for name, is_so in waited.items() if is_so()]:
                kill.after[name] = time.monotonic() - began
                del waited[name]
            time.sleep(LOOK)
        kill.after |= dict.fromkeys(waited, float("inf"))
    finally:
        over.set()
        for each in clients:
            each.join()
    given = _given(made, uuid.UUID(node).hex, at)
    kill.after["last request sent there"] = max((each - at for each in given), default=0.0)
    made.start(kill.node)
    again = time.monotonic()
    _await(lambda: made.lifecycle(kill.node) == "ready" and not _is_open(made, node), "the end of the incident")
    kill.after[CLOSED] = time.monotonic() - again
    return kill


def _client(made: Site, size: Size, kill: Kill, over: threading.Event) -> None:
    body = {"model": MODEL, "max_tokens": size.tokens, "messages": [{"role": "user", "content": "Count."}]}
    while not over.is_set():
        kill.asked += 1
        try:
            ask(f"{made.url}/v1/chat/completions", made.key, body, seconds=PATIENCE)
        except (HTTPError, OSError):
            kill.failed += 1


def _busy(made: Site, names: set[str]) -> str:
    """One of them that runs requests."""
    chosen = ""

    def found() -> bool:
        nonlocal chosen
        for each in made.ask("/api/v1/nodes")["results"]:
            telemetry = each["telemetry"]
            if each["name"] in names and telemetry and telemetry["running"]:
                chosen = each["name"]
                return True
        return False

    _await(found, "a node that works")
    return chosen


def _is_open(made: Site, node: str) -> bool:
    path = f"/api/v1/incidents?state=open&kind=node_lost&subject_id={node}"
    return bool(made.ask(path)["results"])


def _given(made: Site, node: str, after: float) -> list[float]:
    """When requests were given to the node since then (Unix seconds), by their records. Raises `NotStarted` where none was ever."""
    time.sleep(2)  # records are written in batches
    found = rows(made.database, "SELECT route FROM metering_requestroute")
    given: list[float] = [
        attempt["given_at"] for (route,) in found for attempt in route.get("attempts", ()) if attempt["node"] == node
    ]
    if not given:
        raise NotStarted("the records name no request that the killed node was given")
    return [each for each in given if each > after]


def _await(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise NotStarted(f"{what}: not within {PATIENCE:g} s")
        time.sleep(LOOK)


def _words(kill: Kill) -> str:
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in kill.after.items())


def missed(kills: list[Kill]) -> list[str]:
    return [name for name, goal in GOALS.items() if max(kill.after[name] for kill in kills) > goal]


def report(kills: list[Kill], size: Size) -> str:
    lines = [
        f"{size.nodes} nodes of llama.cpp, {MODEL} on all but one, {size.clients} clients; {len(kills)} kills of a node that is at work, "
        "which is started again when its incident is open; seconds from the kill",
        "",
        "| | median | longest | goal |",
        "|---|---|---|---|",
    ]
    for name in ("last request sent there", "node counts as unreachable", "incident open", BEGUN, WHOLE, CLOSED):
        seconds = [kill.after[name] for kill in kills]
        goal = f"{GOALS[name]:g}" if name in GOALS else "-"
        lines.append(f"| {name} | {quantile(seconds, 0.5):.1f} | {max(seconds):.1f} | {goal} |")
    asked, failed = sum(kill.asked for kill in kills), sum(kill.failed for kill in kills)
    return "\n".join([*lines, "", f"{asked} requests meanwhile, of which {failed} failed"])
