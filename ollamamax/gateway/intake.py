"""How many requests of each owner one process has that neither run nor are being answered yet; more are refused before they cost anything."""

from __future__ import annotations

from ollamamax.gateway.http import Scope, header
from ollamamax.identity.access import Checked
from ollamamax.kernel import errors

RETRY_AFTER = 2.0
REFUSED = "refused"
"""The owner, for `Turns`, of all requests that are refused where the server does not read in turns: they take turns with the tenants, as one of them."""


class Flooded(errors.Overloaded):
    """``closes``: its connection is to be closed, so that the next request costs its sender a new one."""

    def __init__(self, most: int, *, closes: bool) -> None:
        super().__init__(
            f"{most} of your requests wait here already. Send fewer at once, and this one again later.",
            retry_after=RETRY_AFTER,
        )
        self.closes = closes


class Place:
    """Of one request, from its arrival until it has a slot or its answer begins."""

    __slots__ = ("_intake", "_owner", "left")

    def __init__(self, intake: Intake, owner: str) -> None:
        self._intake = intake
        self._owner = owner
        self.left = False

    def leave(self) -> None:
        """Safe to repeat."""
        if not self.left:
            self.left = True
            self._intake.left(self._owner)


class Intake:
    """One per process; ``most`` requests of each owner at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._of: dict[str, int] = {}

    def enter(self, owner: str) -> Place | None:
        """``None`` when the owner has as many as it may have."""
        count = self._of.get(owner, 0)
        if count >= self.most:
            return None
        self._of[owner] = count + 1
        return Place(self, owner)

    def left(self, owner: str) -> None:
        if (count := self._of[owner] - 1) > 0:
            self._of[owner] = count
        else:
            del self._of[owner]


def owner_of(scope: Scope, checked: Checked | None) -> str:
    """The tenant whose good key it is; else the address it comes from."""
    if checked is not None:
        return checked.key.tenant
    client = scope.get("client")
    return f"address {client[0]}" if client else "address"


SMALL = 64 << 10
"""Bytes of a body that are taken before its connection is closed: what is under way to a closed socket would undo the answer."""


def is_small(scope: Scope) -> bool:
    """Whether the body may be taken in passing: short, as it is, and sent without being asked for."""
    declared = header(scope, b"content-length")  # one that is sent packed has none here
    if declared is None:
        return scope["method"] in {"GET", "HEAD", "DELETE"}
    return declared.isdigit() and int(declared) <= SMALL and header(scope, b"expect") is None
