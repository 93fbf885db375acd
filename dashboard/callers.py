"""Who is at the other end of a live socket, asked anew as often as it must be: the user of a session, or an API key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from channels.db import database_sync_to_async

from dashboard.queries.viewer import find_viewer
from ollamamax.bus import clock
from ollamamax.bus.directory import Directory
from ollamamax.identity.access import Identified, Where, bound_to, identify, principal_of, working_key
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import Principal

DirectoryReady = Callable[[], Awaitable[Directory]]
"""Returns this process's directory when all of it was read once."""


class Caller(Protocol):
    recheck_seconds: float
    """How often to look whether they may still, though nobody said that anything changed."""

    async def who(self) -> Principal | None:
        """Who it is now; ``None`` when the session has ended or the key works no more. Raises what cannot be looked up."""
        ...


class SessionCaller:
    """Three queries each time; actions tell sockets when something changes."""

    recheck_seconds = 5.0

    def __init__(self, session_key: str | None) -> None:
        self._session_key = session_key

    async def who(self) -> Principal | None:
        found: Principal | None = await database_sync_to_async(find_viewer)(self._session_key)
        return found


class KeyCaller:
    """Looked up in the directory in memory, which knows of a revocation within a second, also while Postgres is away."""

    recheck_seconds = 0.5

    def __init__(self, directory: DirectoryReady, authorization: str, where: Where) -> None:
        self._ready = directory
        self._authorization = authorization
        self._where = where
        self._known: Identified | None = None

    async def who(self) -> Principal | None:
        directory = await self._ready()
        if self._known is None:
            try:
                self._known = await identify(self._authorization, directory, None, where=self._where)
            except OllamaMaxError:
                return None
            return self._known.principal
        if self._known.ends is not None and self._known.ends <= clock.now():
            return None
        key = working_key(directory, self._known.identifier)
        if key is None or key.hash != self._known.key.hash:
            return None
        if not (key.reach.has_route(self._where.path) and key.reach.has_address(self._where.address)):
            return None
        return principal_of(bound_to(key, self._known.scope), None)


def caller_of(scope: Mapping[str, Any], directory: DirectoryReady | None) -> Caller:
    """A key where one is sent, whatever cookies come with it; else the session."""
    authorization = authorization_of(scope)
    if authorization is not None and directory is not None:
        return KeyCaller(directory, authorization, Where.of(scope))
    return SessionCaller(scope["session"].session_key)


def authorization_of(scope: Mapping[str, Any]) -> str | None:
    found = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
    return found[0].decode("latin-1") if found else None
