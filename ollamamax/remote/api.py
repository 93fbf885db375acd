"""One installation's APIs, as a command asks them: retried where that is safe, refusals told in the server's own words."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from ollamamax.kernel.ids import new_id
from ollamamax.kernel.retries import pause
from ollamamax.remote.credentials import RemoteLogin
from ollamamax.remote.exits import CommandFailed, ExitStatus

TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
_WORTH_AGAIN = frozenset({429, 502, 503, 504})
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
_PAGE = 200


class NoAnswer(Exception):
    """No answer came."""


@dataclass(frozen=True)
class ApiAnswer:
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        """Raises `CommandFailed` for what is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise CommandFailed(
                f"The server answers with HTTP {self.status}, but not as an OllamaMax does.", ExitStatus.UNREACHABLE
            ) from None

    def refusal(self) -> CommandFailed:
        """What an error of any of the three protocols says: problem details, those of registries, and Ollama's."""
        code, detail = "", ""
        try:
            said = json.loads(self.body)
            if errors := said.get("errors"):
                code, detail = str(errors[0]["code"]).lower(), str(errors[0]["message"])
            elif "code" in said:
                code, detail = str(said["code"]), str(said.get("detail", ""))
                fields = said.get("fields")
                detail += "".join(f"\n  {name}: {_told(value)}" for name, value in (fields or {}).items())
            else:
                detail = str(said["error"])
        except (ValueError, KeyError, IndexError, AttributeError, TypeError, RecursionError):
            detail = ""
        known = bool(detail)
        away = self.status in {502, 503, 504} or not known
        return CommandFailed(
            detail if known else f"The server answers with HTTP {self.status}, but not as an OllamaMax does.",
            ExitStatus.UNREACHABLE if away else ExitStatus.REFUSED,
            code=code,
        )


def _told(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


class RemoteApi:
    """Waits for each answer; to be closed. ``tries``: of a request, before nobody counts as there."""

    def __init__(self, login: RemoteLogin, tries: int = TRIES) -> None:
        self.login, self.tries = login, tries
        self._runner = asyncio.Runner()
        self._session: aiohttp.ClientSession | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._session is not None:
            self._runner.run(self._session.close())
        self._runner.close()

    def get(self, path: str, **query: Any) -> Any:
        """What ``path`` answers, as JSON. Raises `CommandFailed`."""
        return self._good(self.tried("GET", path, query=query)).json()

    def post(self, path: str, body: Any = None) -> Any:
        """Creates once, however often it is tried: all tries have one key. Raises `CommandFailed`."""
        headers = {"Idempotency-Key": new_id()}
        return self._good(self.tried("POST", path, data=json.dumps(body or {}).encode(), headers=headers)).json()

    def patch(self, path: str, body: Any) -> Any:
        """Raises `CommandFailed`. Tried once: whoever tries again cannot know what the first did."""
        return self._good(self.once("PATCH", path, data=json.dumps(body).encode())).json()

    def put(self, path: str, body: Any) -> Any:
        """Raises `CommandFailed`."""
        return self._good(self.tried("PUT", path, data=json.dumps(body).encode())).json()

    def download(self, path: str, file: Path, tell: Callable[[int, int], None]) -> int:
        """Write what ``path`` answers into ``file``, whole or not at all; returns its bytes. Raises `CommandFailed`."""
        half = file.with_name(f".{file.name}.half")
        try:
            count = self._runner.run(self._downloaded(path, half, tell))
            half.replace(file)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(NoAnswer(str(error) or type(error).__name__)) from None
        except OSError as error:
            raise CommandFailed(f"{file} cannot be written: {error.strerror or error}.", ExitStatus.USAGE) from None
        finally:
            half.unlink(missing_ok=True)
        return count

    async def _downloaded(self, path: str, file: Path, tell: Callable[[int, int], None]) -> int:
        count = 0
        async with self._opened().get(URL(f"{self.login.url}{path}", encoded=True), allow_redirects=False) as response:
            if response.status != 200:
                raise ApiAnswer(response.status, {}, await response.read()).refusal()
            total = response.content_length or 0
            with file.open("wb") as out:
                async for piece in response.content.iter_chunked(1 << 20):
                    out.write(piece)
                    count += len(piece)
                    tell(count, total)
        return count

    def listed(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All rows of all pages."""
        page = self.get(path, limit=_PAGE, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            following = urlsplit(page["next"])
            page = self.get(f"{following.path}?{following.query}")

    def tried(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> ApiAnswer:
        """Until there is an answer that trying again would not change; for what may be done twice. Raises `CommandFailed`."""
        for failures in range(1, self.tries + 1):
            try:
                answer = self._ask(method, path, query, data, headers)
            except NoAnswer as error:
                if failures == self.tries:
                    raise self._unreachable(error) from None
                seconds = None
            else:
                if answer.status not in _WORTH_AGAIN or failures == self.tries:
                    return answer
                told = answer.headers.get("retry-after", "")
                seconds = min(float(told), LONGEST_PAUSE) if told.isascii() and told.isdigit() else None
            rest(failures, seconds)
        raise AssertionError

    def once(
        self, method: str, path: str, *, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> ApiAnswer:
        """Raises `CommandFailed`."""
        try:
            return self._ask(method, path, None, data, headers)
        except NoAnswer as error:
            raise self._unreachable(error) from None

    def attempt(self, method: str, path: str, *, data: bytes, headers: dict[str, str]) -> ApiAnswer:
        """Raises `NoAnswer`: for who knows how to go on."""
        return self._ask(method, path, None, data, headers)

    def _unreachable(self, error: NoAnswer) -> CommandFailed:
        return CommandFailed(f"{self.login.url} cannot be reached: {error}.", ExitStatus.UNREACHABLE)

    @staticmethod
    def _good(answer: ApiAnswer) -> ApiAnswer:
        if not 200 <= answer.status < 300:
            raise answer.refusal()
        return answer

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        data: bytes | None,
        headers: dict[str, str] | None,
    ) -> ApiAnswer:
        return self._runner.run(self._asked(method, path, query, data, headers))

    def _opened(self) -> aiohttp.ClientSession:
        """Within the loop."""
        if self._session is None:
            # A proxy comes from the environment, as with other programs of its kind; certificates by SSL_CERT_FILE.
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {self.login.key}"}, timeout=_TIMEOUT, trust_env=True
            )
        return self._session

    async def _asked(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        data: bytes | None,
        headers: dict[str, str] | None,
    ) -> ApiAnswer:
        url = URL(f"{self.login.url}{path}", encoded=True)
        if query:
            url = url.update_query({name: str(value) for name, value in query.items()})
        given = {"Content-Type": "application/json"} if data is not None else {}
        try:
            async with self._opened().request(
                method, url, data=data, headers={**given, **(headers or {})}, allow_redirects=False
            ) as response:
                body = await response.read()
                told = {name.lower(): value for name, value in response.headers.items()}
                return ApiAnswer(response.status, told, body)
        except aiohttp.ClientConnectorCertificateError as error:
            # Trying again changes nothing.
            raise CommandFailed(
                f"The certificate of {self.login.url} is not trusted: {error.certificate_error}.",
                ExitStatus.UNREACHABLE,
            ) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from None


def rest(failures: int, seconds: float | None = None) -> None:
    """After the ``failures``-th failure; ``seconds`` where the server said how long."""
    chance = random.random()  # noqa: S311 - spreads attempts, hides nothing
    time.sleep(pause(failures, chance, first=FIRST_PAUSE, most=LONGEST_PAUSE) if seconds is None else seconds)
