"""Who is being served now, by key: when a key stops working, what runs with it ends within a second.

The end is told twice to what waits for a node's output or for a slot, which then says so in its protocol's own form. What
does not hear that, such as a body that is being read or a client that takes nothing, is cancelled after it.
"""

from __future__ import annotations

import asyncio

from cluster.dispatch.request import Request
from ollamamax.bus import clock
from ollamamax.bus.directory import Directory
from ollamamax.contract import Failure
from ollamamax.contract.tables import KnownKey
from ollamamax.identity.access import REVOKED_MEANWHILE, Identified, Where, working_key
from ollamamax.kernel.reach import Reach

REVOKED = Failure("unauthenticated", REVOKED_MEANWHILE, 401)
_AGAIN_SECONDS = 0.2
_TOLD = 2
"""How many times it is told before it is cancelled."""


class ServedCaller:
    """One request of a client in the hands of this process, from its authentication to its last byte."""

    __slots__ = ("_task", "_timer", "_told", "identifier", "key", "permission", "requests", "targets", "where")

    def __init__(self, known: Identified, permission: str, where: Where | None) -> None:
        self.identifier = known.identifier
        self.key = known.key
        self.permission = permission
        self.where = where
        """``None`` for what is asked from inside the process."""
        self.targets: set[str] = set()
        """The models it asked for, as grants name them."""
        self.requests: list[Request] = []
        """What it asked of the nodes, also what waits for a slot or has ended."""
        self._task = asyncio.current_task()
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_revoked(self) -> bool:
        return self._told > 0

    def expire_at(self, expires_at: float | None) -> None:
        """End it then (Unix seconds), instead of when it was to end before."""
        if self._told:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if expires_at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, expires_at - clock.now()), self.end)

    def end(self) -> None:
        """Its key does not work any more."""
        if not self._told:
            self._tell()

    def _tell(self) -> None:
        self._told += 1
        for request in self.requests:
            request.interrupt(REVOKED)
        if self._task is not None and (self._told > _TOLD or not self.requests):
            self._task.cancel()
        self._timer = asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._tell)

    def leave(self) -> None:
        """It is over: nothing of it is ended any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Callers:
    """All of one process. Costs a request two operations on a dictionary."""

    def __init__(self) -> None:
        self._present: dict[str, set[ServedCaller]] = {}

    def follow(self, directory: Directory) -> None:
        directory.on_change(lambda table, fields: self._changed(directory, fields) if table == "keys" else None)

    def enter(self, known: Identified, permission: str, where: Where | None) -> ServedCaller:
        """To be followed by `leave`, whatever happens; to be called in the task that serves it."""
        caller = ServedCaller(known, permission, where)
        present = self._present.get(caller.identifier)
        if present is None:
            self._present[caller.identifier] = {caller}
        else:
            present.add(caller)
        if caller.key.expires_at is not None:
            caller.expire_at(caller.key.expires_at)
        return caller

    def leave(self, caller: ServedCaller) -> None:
        """Safe to repeat."""
        caller.leave()
        present = self._present.get(caller.identifier)
        if present is not None:
            present.discard(caller)
            if not present:
                del self._present[caller.identifier]

    def _changed(self, directory: Directory, fields: frozenset[str]) -> None:
        for identifier in self._present.keys() & fields:
            known = working_key(directory, identifier)
            for caller in list(self._present[identifier]):
                if known is None or not _is_same(known, caller):
                    caller.end()
                elif known.expires_at != caller.key.expires_at:
                    caller.key = known
                    caller.expire_at(known.expires_at)


def _is_same(known: KnownKey, caller: ServedCaller) -> bool:
    """Whether the key still is what the request was let in with, and may still do that."""
    before = caller.key
    return (
        (known.id, known.tenant, known.hash)
        == (
            before.id,
            before.tenant,
            before.hash,
        )
        and _still_reaches(known.reach, caller)
        and (
            all(known.may(caller.permission, target) for target in caller.targets)
            if caller.targets
            else known.may_somewhere(caller.permission)
        )
    )


def _still_reaches(reach: Reach, caller: ServedCaller) -> bool:
    """Whether a key whose reach may have changed still may be used as it is."""
    if reach == caller.key.reach:
        return True
    where = caller.where
    return reach.models == caller.key.reach.models and (
        where is None or (reach.has_route(where.path) and reach.has_address(where.address))
    )
