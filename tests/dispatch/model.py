"""What the Redis functions of dispatch should do, said as plainly as Python can."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Asked:
    """A request of a client. ``cost`` and ``weight`` are of fairness."""

    request: str
    tenant: str
    key: str
    gateway: str
    nodes: list[str]
    score: float
    cost: float
    weight: float
    concurrent: int | None = None
    idle: bool = False
    at_once: bool = False
    """It may not wait."""

    @property
    def ticket(self) -> str:
        return f"{self.request}.1"


@dataclass
class Node:
    capacity: int
    alive: bool = True
    schedulable: bool = True
    slots: list[str] = field(default_factory=list)
    """Request ids."""


@dataclass
class Model:
    nodes: dict[str, Node]
    most: int
    most_of_tenant: int
    gateways: dict[str, bool]
    waiting: dict[str, Asked] = field(default_factory=dict)
    opened: dict[str, tuple[Asked, str]] = field(default_factory=dict)
    """Request id -> the request and its node."""
    active: dict[str, set[str]] = field(default_factory=dict)
    work: dict[str, float] = field(default_factory=dict)
    served_at: float = 0.0
    grants: list[tuple[str, str, str]] = field(default_factory=list)
    """Gateway, ticket, node."""

    def admit(self, a: Asked) -> str:
        if a.concurrent is not None and len(self.active.get(a.tenant, ())) >= a.concurrent:
            return "limited"
        living = [name for name in a.nodes if self.nodes[name].alive]
        chosen = None
        for name in living:
            if self._free(name):
                self.fill(name)
                if self._free(name):
                    chosen = name
                    break
        if not living:
            return "dead"
        if a.idle and (self.waiting or chosen is None):
            return "busy"
        own = sum(each.tenant == a.tenant for each in self.waiting.values())
        if chosen is None and (a.at_once or own >= self.most_of_tenant or len(self.waiting) >= self.most):
            return "full"
        for owner in (a.key, a.tenant):
            self.active.setdefault(owner, set()).add(a.request)
        if own == 0:
            self.work[a.tenant] = max(self.work.get(a.tenant, 0.0), self.served_at)
        if chosen is None:
            self.waiting[a.request] = a
            return "waits"
        self._give(a, chosen)
        return "given"

    def settle(self, request: str, work: float) -> None:
        a, node = self.opened.pop(request)
        self.nodes[node].slots.remove(request)
        self._release(a)
        self.work[a.tenant] += work / a.weight
        self.fill(node)

    def withdraw(self, request: str) -> None:
        a = self.waiting.pop(request, None)
        node = None
        if a is None:
            a, node = self.opened.pop(request)
            self.nodes[node].slots.remove(request)
        self._release(a)
        for name in a.nodes:
            self.fill(name)

    def look(self, request: str, nodes: list[str]) -> None:
        self.waiting[request].nodes = nodes
        for name in nodes:
            self.fill(name)

    def purge(self) -> None:
        """What a dead gateway waited for, and what it ran on nodes that are gone or said how it ended."""
        for request, a in list(self.waiting.items()):
            if not self.gateways[a.gateway]:
                del self.waiting[request]
                self._release(a)

    def fill(self, name: str) -> None:
        node = self.nodes[name]
        if not any(name in each.nodes for each in self.waiting.values()):
            return
        free = node.capacity - len(node.slots) if node.alive and node.schedulable else 0
        for _ in range(free):
            heads = self._heads(name)
            if not heads:
                return
            a = min(heads, key=lambda each: (self.work.get(each.tenant, 0.0), each.score))
            del self.waiting[a.request]
            self._give(a, name)
            self.grants.append((a.gateway, a.ticket, name))

    def _heads(self, name: str) -> list[Asked]:
        """The first of each tenant; who stands at the front for a gateway that is gone leaves the line."""
        heads: dict[str, Asked] = {}
        for a in sorted((each for each in self.waiting.values() if name in each.nodes), key=lambda each: each.score):
            if a.tenant in heads:
                continue
            if self.gateways[a.gateway]:
                heads[a.tenant] = a
            else:
                del self.waiting[a.request]
                self._release(a)
        return list(heads.values())

    def _free(self, name: str) -> bool:
        # The gateway knows the capacity from the node's last word.
        return len(self.nodes[name].slots) < self.nodes[name].capacity

    def _give(self, a: Asked, name: str) -> None:
        self.nodes[name].slots.append(a.request)
        self.opened[a.request] = (a, name)
        start = self.work.get(a.tenant, 0.0)
        self.served_at = max(self.served_at, start)
        self.work[a.tenant] = start + a.cost / a.weight

    def _release(self, a: Asked) -> None:
        for owner in (a.key, a.tenant):
            self.active.get(owner, set()).discard(a.request)
