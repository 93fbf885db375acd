"""What a gateway asks of whoever keeps responses. A gateway without the database has nobody, and keeps none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ollamamax.gateway.call import Call

Item = dict[str, Any]
Ended = Literal["completed", "incomplete", "failed", "cancelled"]


@dataclass(frozen=True)
class Recalled:
    """What a response goes on from: all items before its own, and what the keeper needs to keep it in its place."""

    items: list[Item] = field(default_factory=list)
    place: Any = None


class Keeping(Protocol):
    """All raise `Unavailable` when what keeps them does not answer."""

    async def take_room(self, tenant: str, size: int) -> None:
        """Count so many bytes more as kept by the tenant. Raises `TooLarge` when it keeps as much as it may already."""

    async def recall(self, call: Call, previous: str | None, conversation: str | None) -> Recalled:
        """Raises `NotFound`, `InvalidRequest` and `TooLarge`, naming the parameter."""

    async def referred(self, call: Call, names: list[str]) -> dict[str, Item]:
        """The items of kept answers that have these ids, as far as they are there."""

    async def begin(
        self, call: Call, recalled: Recalled, response: Item, given: str | list[Item], request: Item | None = None
    ) -> None:
        """Keep a response that begins. ``request`` is the body to ask for in the background, where it is to be."""

    async def end(self, call: Call, status: Ended, response: Item) -> None:
        """Keep how it ended; tries for a while when the database is away."""
