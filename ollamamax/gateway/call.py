"""Call: who asks, at which route, with what rights and wishes; known before the body is read."""

from __future__ import annotations

import msgspec

from ollamamax.contract.budgets import NO_BUDGETS, KnownBudget, KnownBudgets
from ollamamax.contract.ignored import Ignored
from ollamamax.contract.tables import KnownTenant, Priority
from ollamamax.gateway.asked import Notes
from ollamamax.gateway.callers import ServedCaller
from ollamamax.gateway.intake import Place
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.limits import Limits
from ollamamax.kernel.principal import Principal


class Call(msgspec.Struct, eq=False):
    """One call of a client. What is asked of a further model, or for a further answer, is a copy with an id of its own."""

    principal: Principal
    api: str
    received_at: float
    traceparent: str
    caller: ServedCaller
    """Whose request it is, in a gateway's hands."""
    id: str = msgspec.field(default_factory=new_id)
    tenant: KnownTenant = msgspec.field(default_factory=KnownTenant)
    limits: Limits = msgspec.field(default_factory=Limits)
    """Of the key."""
    budgets: tuple[KnownBudget, ...] = ()
    """Those of key, user, teams and tenant that it counts in."""
    prices: KnownBudgets = NO_BUDGETS
    """By which models cost."""
    priority: Priority = "normal"
    highest: Priority = "normal"
    """The class that its key may ask for."""
    idle_only: bool = False
    """Take a slot that nobody waits for, or none."""
    shadow_of: str = ""
    """The request that it runs again, whose answer nobody is shown; empty for what somebody asks."""
    exact: bool = False
    """The model that is asked answers, and none that stands in for it; when its first token came is known, also of a short answer."""
    timeout: float | None = None
    """Seconds, when the client asks for less than the installation allows."""
    notes: Notes = msgspec.field(default_factory=Notes)
    """Filled before the response begins."""
    affinity: str = ""
    """Requests with the same one are at home on the same node."""
    place: Place | None = None
    """It is left as soon as something of it has a slot."""

    @property
    def ignored(self) -> Ignored:
        return self.notes.ignored

    def again(self) -> Call:
        """For another model, or another answer: a request of its own, with its own record."""
        return msgspec.structs.replace(self, id=new_id())

    def headers(self) -> list[tuple[bytes, bytes]]:
        own = [(b"x-request-id", self.id.encode()), (b"traceparent", self.traceparent.encode())]
        ignored = self.notes.ignored
        return own + ignored.headers() if ignored.names else own
