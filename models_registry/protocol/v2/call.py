"""One request of the registry protocol, and what its answers share: addresses, pages, database calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from models_registry.distribution.faults import RegistryFault
from models_registry.distribution.names import V2Path
from models_registry.protocol.v2.access import V2Caller
from ollamamax.bus.database import in_database
from ollamamax.bus.directory import Directory
from ollamamax.identity import access
from ollamamax.kernel.errors import Unauthenticated
from ollamamax.kernel.principal import Principal

if TYPE_CHECKING:
    from models_registry.protocol.v2.mirrored import Mirroring

PULL = "pull"
MOST_ON_A_PAGE = 1000
T = TypeVar("T")


@dataclass(frozen=True)
class V2Call:
    request: Request
    place: V2Path
    caller: V2Caller
    directory: Directory
    most_blob: int
    mirroring: Mirroring

    @property
    def acting(self) -> Principal:
        return self.caller.acting

    @property
    def name(self) -> str:
        return self.place.name

    def require(self, action: str) -> None:
        """Raises `Unauthenticated` for a token that is not for this: its holder gets another."""
        if not self.caller.may(action, self.name):
            raise Unauthenticated("The token is for something else.", name=self.name, action=action)

    def still_works(self) -> None:
        """Raises `Unauthenticated` when the caller's key was revoked, or has expired, since."""
        if access.working_key(self.directory, self.caller.known.identifier) is None:
            raise Unauthenticated(access.REVOKED_MEANWHILE)

    async def database(self, work: Callable[[], T]) -> T:
        return await in_database(work)

    def address(self, path: str, **query: str) -> str:
        """An absolute one, as Ollama's client needs it, of something in the repository."""
        text = f"{base_of(self.request)}/v2/{self.name}/{path}"
        return f"{text}?{urlencode(query)}" if query else text


def base_of(request: Request) -> str:
    """Scheme and host as the client said them: it sends a token to the host only that it asked."""
    return f"{request.url.scheme}://{request.headers.get('host') or request.url.netloc}"


@dataclass(frozen=True)
class NamePage:
    """``most`` entries that come after ``after``."""

    after: str
    most: int

    @staticmethod
    def asked(request: Request) -> NamePage:
        """Raises `RegistryFault`."""
        text = request.query_params.get("n", str(MOST_ON_A_PAGE))
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            raise RegistryFault("PAGINATION_NUMBER_INVALID", 400, "'n' is a number of entries.", n=text[:100])
        return NamePage(request.query_params.get("last", "")[:500], min(int(text), MOST_ON_A_PAGE))

    def link(self, path: str, found: list[str], **more: str) -> dict[str, str]:
        """The header that names the next page; ``found`` has one entry more than the page where there is one."""
        if not self.most or len(found) <= self.most:
            return {}
        query = urlencode({**more, "n": self.most, "last": found[self.most - 1]})
        return {"link": f'<{path}?{query}>; rel="next"'}
