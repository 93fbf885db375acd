"""What the Redis functions of dispatch should do, said as plainly as Python can."""

from __future__ import annotations

from dataclasses import dataclass, field

AHEAD = 4


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
    kept: list[tuple[str, str]] = field(default_factory=list)
    """Slots that tenants left and that are kept for them: tenant, ticket."""

    @property
    def room(self) -> int:
        """How many requests it takes at once, as gateways know it."""
        return self.capacity if self.schedulable else 0


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
    returns: dict[str, float] = field(default_factory=dict)
    """Share of the times at which a tenant was back in time, the last ones counting most."""
    expected: dict[str, bool] = field(default_factory=dict)
    """Tenants that may still be back, and whether in time."""

    def admit(self, a: Asked) -> str:
        if a.concurrent is not None and len(self.active.get(a.tenant, ())) >= a.concurrent:
            return "limited"
        if self.waiting and a.tenant in self.expected:
            in_time = self.expected.pop(a.tenant)
            self.returns[a.tenant] = self.returns.get(a.tenant, 1.0) * 0.75 + 0.25 * in_time
        waited = bool(self.waiting)
        living = [name for name in a.nodes if self.nodes[name].alive]
        chosen = None
        for name in living:
            if self._free(name):
                self.fill(name)
                own = self._start(a.tenant)
                kept = self._kept_from(a, name, own) if waited else 0
                if self._free(name, kept):
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
        self.work[a.tenant] = self._start(a.tenant)
        if chosen is None:
            self.waiting[a.request] = a
            return "waits"
        if self.waiting:
            mine = [each for each in self.nodes[chosen].kept if each[0] == a.tenant]
            for each in mine[:1]:
                self.nodes[chosen].kept.remove(each)
        self._give(a, chosen)
        return "given"

    def settle(self, request: str, work: float, *, may_keep: bool) -> None:
        a, node = self.opened.pop(request)
        self.nodes[node].slots.remove(request)
        self._release(a)
        self.work[a.tenant] += work / a.weight
        waits = any(each.tenant == a.tenant for each in self.waiting.values())
        if may_keep and not waits and any(node in each.nodes for each in self.waiting.values()):
            self.expected[a.tenant] = True
            if self.returns.get(a.tenant, 1.0) >= 0.5:
                self.nodes[node].kept.append((a.tenant, a.ticket))
        self.fill(node)

    def nobody_came(self) -> None:
        """All slots were kept long enough, and whoever comes now is late."""
        for node in self.nodes.values():
            node.kept.clear()
        self.expected = dict.fromkeys(self.expected, False)

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
        free = node.room - len(node.slots) if node.alive else 0
        for left in range(free, 0, -1):
            heads = self._heads(name)
            if not heads:
                return
            a = min(heads, key=lambda each: (self.work.get(each.tenant, 0.0), each.score))
            if left <= self._kept_from(a, name, self.work.get(a.tenant, 0.0)):
                return
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

    def _free(self, name: str, kept: int = 0) -> bool:
        # The gateway knows the capacity from the node's last word.
        return len(self.nodes[name].slots) + kept < self.nodes[name].room

    def _kept_from(self, a: Asked, name: str, start: float) -> int:
        """Slots kept for others, unless some of this tenant's requests would end before theirs begin."""
        until = start + AHEAD * a.cost / a.weight
        return sum(other != a.tenant and self.work.get(other, 0.0) <= until for other, _ in self.nodes[name].kept)

    def _start(self, tenant: str) -> float:
        """The virtual time at which the tenant's next request begins: no credit for a time in which it had nothing waiting."""
        own = self.work.get(tenant, 0.0)
        return own if any(each.tenant == tenant for each in self.waiting.values()) else max(own, self.served_at)

    def _give(self, a: Asked, name: str) -> None:
        self.nodes[name].slots.append(a.request)
        self.opened[a.request] = (a, name)
        start = self.work.get(a.tenant, 0.0)
        self.served_at = max(self.served_at, start)
        self.work[a.tenant] = start + a.cost / a.weight

    def _release(self, a: Asked) -> None:
        for owner in (a.key, a.tenant):
            self.active.get(owner, set()).discard(a.request)
