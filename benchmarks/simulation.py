"""Fifty unequal nodes on a clock of their own: requests arrive, wait for slots and models, share a node's speed, and end.

Nodes: a stream alone makes 8 to 120 tokens a second (log-uniform), with n streams each is slower by ``1 + crowding * (n - 1)``; prompts are
read 20 times as fast. Slots 2 to 16. A node has memory for one or some models, three on its disk, and loads at 0.3 to 2 GB/s.
Prompts and answers are log-normal, arrivals Poisson. Gateways know what they gave out themselves at once and the rest from
the nodes' reports of each second, as in the product.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.fleet.candidates import Candidates
from cluster.scheduling.candidate import Candidate
from ollamamax.contract import Engine, ModelState, NodeState
from ollamamax.contract.tables import Registered

OVERHEAD_S = 0.03
PROMPT_TIMES = 20.0
SIZES = (1e9, 2e9, 5e9, 8e9)
_DONE = 1e-9


@dataclass(slots=True)
class Job:
    """``left``: tokens still to be made; reading the prompt and beginning count as tokens, too."""

    number: int
    model: int
    prompt: int
    answer: int
    arrived: float
    gateway: int
    left: float = 0.0
    begun: float = 0.0
    loaded: float = 0.0
    first: float = -1.0
    ended: float = 0.0


@dataclass(slots=True)
class Node:
    name: str
    speed: float
    crowding: float
    slots: int
    load_rate: float
    room: float
    disk: tuple[int, ...]
    memory: dict[int, float] = field(default_factory=dict)
    """Model -> when it is, or was, loaded."""
    used: dict[int, float] = field(default_factory=dict)
    running: list[Job] = field(default_factory=list)
    queue: list[Job] = field(default_factory=list)
    at: float = 0.0
    stamp: int = 0

    def rate(self, streams: int) -> float:
        """Tokens a second of each of so many streams."""
        return self.speed / (1 + self.crowding * (streams - 1))

    def throughput(self) -> float:
        return self.slots * self.rate(self.slots)

    def advance(self, now: float) -> None:
        """Let what runs go on until ``now``."""
        active = [job for job in self.running if job.loaded <= self.at]
        if active and now > self.at:
            made = (now - self.at) * self.rate(len(active))
            for job in active:
                if job.first < 0 and job.left - made <= job.answer:
                    job.first = self.at + max(0.0, job.left - job.answer) / made * (now - self.at)
                job.left -= made
        self.at = now

    def next_change(self) -> float:
        """When a job ends or a model is loaded, if nothing else happens."""
        active = [job.left for job in self.running if job.loaded <= self.at]
        ends = self.at + max(0.0, min(active)) / self.rate(len(active)) if active else math.inf
        return min([ends, *(job.loaded for job in self.running if job.loaded > self.at)])

    def start_waiting(self) -> None:
        """Begin the next in the queue while there are slots, and memory for its model."""
        while self.queue and len(self.running) < self.slots:
            job = self.queue[0]
            if job.model not in self.memory and not self._make_room(job.model):
                return
            self.queue.pop(0)
            if job.model not in self.memory:
                self.memory[job.model] = self.at + SIZES[job.model] / self.load_rate + 0.5
            self.used[job.model] = job.begun = self.at
            job.loaded = max(self.at, self.memory[job.model])
            job.left = job.answer + job.prompt / PROMPT_TIMES + OVERHEAD_S * self.speed
            self.running.append(job)

    def _make_room(self, model: int) -> bool:
        """Put out what was used longest ago, unless it runs."""
        busy = {job.model for job in self.running}
        while sum(SIZES[each] for each in self.memory) + SIZES[model] > self.room:
            idle = [each for each in self.memory if each not in busy]
            if not idle:
                return False
            del self.memory[min(idle, key=lambda each: self.used.get(each, 0.0))]
        return True

    def has_room(self) -> bool:
        return len(self.running) + len(self.queue) < self.slots

    def state(self) -> NodeState:
        return NodeState(
            node=self.name,
            tenant="t",
            boot="b",
            seq=1,
            at=self.at,
            agent_version="",
            engines=[Engine("llamacpp", True)],
            capacity=self.slots,
            running=len(self.running),
            waiting=len(self.queue),
            tokens_per_second=0.0,
            models=[self._model(model) for model in self.disk],
            cpu_percent=0.0,
            cpu_count=1,
            memory_used=int(sum(SIZES[model] for model in self.memory)),
            memory_total=int(self.room),
            disk_used=0,
            disk_total=1,
            network_received_per_second=0.0,
            network_sent_per_second=0.0,
        )

    def _model(self, model: int) -> ModelState:
        loaded = self.memory.get(model)
        size = int(SIZES[model])
        if loaded is None:
            return ModelState(str(model), str(model), "ready", "llamacpp", size=size)
        return ModelState(
            str(model), str(model), "loaded" if loaded <= self.at else "loading", "llamacpp", size=size, memory=size
        )


@dataclass(frozen=True, slots=True)
class Sight:
    """What a gateway sees when it chooses: the nodes that have the model, how many requests came before, how long answers
    usually are, how many requests for the model wait at this gateway."""

    candidates: list[Candidate]
    turn: int
    tokens: float
    waiting: int


Choose = Callable[[Job, Sight], list[str]]
"""The nodes for a request, best first."""


@dataclass(frozen=True)
class Setting:
    """``models``: 1 is one model in every node's memory; more are spread over the nodes' disks."""

    load: float
    models: int = 1
    gateways: int = 1
    requests: int = 20_000
    nodes: int = 50
    seed: int = 1
    misplaced: bool = False
    """Whether the models that are asked for most are not those that most of the memory holds."""


def make_nodes(setting: Setting) -> list[Node]:
    rng = random.Random(setting.seed)
    found = []
    for number in range(setting.nodes):
        disk = (0,) if setting.models == 1 else tuple(rng.sample(range(setting.models), 3))
        node = Node(
            name=f"{number:02}",
            speed=8 * 15 ** rng.random(),
            crowding=rng.uniform(0.02, 0.3),
            slots=rng.choice((2, 4, 8, 16)),
            load_rate=rng.uniform(0.3e9, 2e9),
            room=rng.choice((8e9, 12e9)),
            disk=disk,
        )
        for model in disk:
            if sum(SIZES[each] for each in (*node.memory, model)) <= node.room:
                node.memory[model] = 0.0
        found.append(node)
    return found


def make_jobs(setting: Setting, nodes: list[Node]) -> list[Job]:
    """Poisson arrivals at ``load`` times what the fleet can do; models as popular as they find room in memory at the start."""
    rng = random.Random(setting.seed + 1)
    weights = [0.0] * setting.models
    for node in nodes:
        for model in node.memory:
            weights[model] += node.throughput() / len(node.memory)
    if setting.misplaced:
        rarest_first = sorted(range(setting.models), key=weights.__getitem__)
        for model, weight in zip(rarest_first, sorted(weights, reverse=True), strict=True):
            weights[model] = weight
    lengths = [
        (1 + round(rng.lognormvariate(math.log(400), 1.2)), 1 + round(rng.lognormvariate(math.log(120), 1.0)))
        for _ in range(setting.requests)
    ]
    mean = sum(answer + prompt / PROMPT_TIMES for prompt, answer in lengths) / len(lengths)
    per_second = setting.load * sum(node.throughput() for node in nodes) / mean
    now, jobs = 0.0, []
    for number, (prompt, answer) in enumerate(lengths):
        now += rng.expovariate(per_second)
        model = rng.choices(range(setting.models), weights)[0]
        jobs.append(Job(number, model, prompt, answer, now, rng.randrange(setting.gateways)))
    return jobs


class Run:
    """One run of a setting. ``queued``: as the product admits, a request takes the first chosen node with a free slot, and waits
    for any of them where none has, its choice renewed each second; else it waits at the first chosen node."""

    def __init__(self, setting: Setting, choose: Choose, *, queued: bool) -> None:
        self.nodes = {node.name: node for node in make_nodes(setting)}
        self.jobs = make_jobs(setting, list(self.nodes.values()))
        self._choose = choose
        self._queued = queued
        self._rosters = [Candidates() for _ in range(setting.gateways)]
        self._turns = [0] * setting.gateways
        self._waiting: dict[int, tuple[Job, list[str]]] = {}
        self._order = itertools.count()
        self._events: list[tuple[float, int, Job | tuple[Node, int] | None]] = []

    def finish(self) -> list[Job]:
        """Every job, with its times."""
        left = len(self.jobs)
        self._push(0.0, None)
        for job in self.jobs:
            self._push(job.arrived, job)
        while left:
            now, _, about = heapq.heappop(self._events)
            if about is None:
                self._hear(now)
                self._push(now + 1.0, None)
            elif isinstance(about, Job):
                self._admit(about, now)
            elif about[1] == about[0].stamp:
                left -= self._end(about[0], now)
        return self.jobs

    def _push(self, when: float, about: Job | tuple[Node, int] | None) -> None:
        heapq.heappush(self._events, (when, next(self._order), about))

    def _hear(self, now: float) -> None:
        """Every node reports, and whoever waits chooses again."""
        for node in self.nodes.values():
            node.advance(now)
            for roster in self._rosters:
                roster.take(node.state(), Registered("t", node.name), now)
            self._settle(node)
        for job, _ in list(self._waiting.values()):
            self._admit(job, now)

    def _admit(self, job: Job, now: float) -> None:
        self._waiting.pop(job.number, None)
        roster = self._rosters[job.gateway]
        beside = sum(job.model == other.model and job.gateway == other.gateway for other, _ in self._waiting.values())
        sight = Sight(
            list(roster.having(str(job.model))),
            self._turns[job.gateway],
            roster.tokens("t", str(job.model), now),
            beside,
        )
        self._turns[job.gateway] += 1
        names = self._choose(job, sight)
        free = [name for name in names if self.nodes[name].has_room()] if self._queued else names
        if free:
            self._give(job, self.nodes[free[0]], now)
        else:
            self._waiting[job.number] = (job, names)

    def _give(self, job: Job, node: Node, now: float) -> None:
        self._rosters[job.gateway].given(node.name, 1)
        node.advance(now)
        node.queue.append(job)
        self._settle(node)

    def _settle(self, node: Node) -> None:
        node.stamp += 1
        node.start_waiting()
        if (when := node.next_change()) < math.inf:
            self._push(when, (node, node.stamp))

    def _end(self, node: Node, now: float) -> int:
        """What ended on the node makes room for what waits, the oldest first; how many ended."""
        node.advance(now)
        ended = [job for job in node.running if job.loaded <= now and job.left <= _DONE * job.answer + 1e-6]
        for job in ended:
            node.running.remove(job)
            job.ended = now
            _report(self._rosters[job.gateway], node, job, now)
        for job in [job for job, names in self._waiting.values() if node.name in names] if ended else ():
            if not node.has_room():
                break
            del self._waiting[job.number]
            self._give(job, node, now)
        self._settle(node)
        return len(ended)


def _report(roster: Candidates, node: Node, job: Job, now: float) -> None:
    first = job.first if job.first >= 0 else now
    roster.given(node.name, -1)
    roster.observe(
        node.name,
        str(job.model),
        now=now,
        first_token_ms=(first - job.loaded) * 1000,
        prompt_tokens=job.prompt,
        cached_tokens=0,
        prompt_ms=max(0.0, first - job.loaded - OVERHEAD_S) * 1000,
        completion_tokens=job.answer,
        eval_ms=(now - first) * 1000,
        load_ms=(job.loaded - job.begun) * 1000,
    )
