"""How many bytes of requests' bodies one process holds, of each owner and in all; what exceeds that is refused while it is read.

A body is held from its first byte until its request is over: decoded, on its way to a node and kept for another attempt it
takes several times its length.
"""

from __future__ import annotations

from ollamamax.kernel import errors

LEAST = 16 << 10
"""Bytes of a body that is not counted."""
RETRY_AFTER = 2.0


class TooManyBytes(errors.Overloaded):
    """Another model would not change it."""

    code = "too_many_bytes"


class HeldBytes:
    """One per process. ``most`` bytes in all, ``most_of_owner`` of each; a body that is alone passes whatever its size."""

    def __init__(self, most: int, most_of_owner: int) -> None:
        self._most = most
        self._most_of_owner = most_of_owner
        self._all = 0
        self._of: dict[str, int] = {}

    def body(self, owner: str) -> Body:
        return Body(self, owner)

    def add(self, owner: str, own: int, more: int) -> None:
        """``more`` bytes of a body of which ``own`` are counted already. Raises `TooManyBytes`."""
        of_owner = self._of.get(owner, 0)
        if of_owner > own and of_owner + more > self._most_of_owner:
            raise TooManyBytes(
                f"{of_owner} bytes of your requests are under way here, and may be {self._most_of_owner}. Send fewer at once.",
                retry_after=RETRY_AFTER,
            )
        if self._all > own and self._all + more > self._most:
            raise TooManyBytes("Too many bytes of requests are under way here.", retry_after=RETRY_AFTER)
        self._all += more
        self._of[owner] = of_owner + more

    def free(self, owner: str, own: int) -> None:
        self._all -= own
        if (left := self._of[owner] - own) > 0:
            self._of[owner] = left
        else:
            del self._of[owner]


class Body:
    """Of one request."""

    __slots__ = ("_counted", "_held", "_owner", "_size")

    def __init__(self, held: HeldBytes, owner: str) -> None:
        self._held = held
        self._owner = owner
        self._size = self._counted = 0

    def grow(self, more: int) -> None:
        """So many bytes came. Raises `TooManyBytes`."""
        self._size += more
        if self._size > LEAST:
            self._held.add(self._owner, self._counted, self._size - self._counted)
            self._counted = self._size

    def leave(self) -> None:
        """Its request is over. Safe to repeat."""
        if self._counted:
            self._held.free(self._owner, self._counted)
            self._counted = 0
