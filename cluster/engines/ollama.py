"""The engine for an Ollama server, by Ollama's own API; the versions are the digests of its models."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Literal

import aiohttp
import msgspec

from cluster.engines import demanded_call, http, ollama_wire
from cluster.engines.base import Capacity, EngineKind, Output, PromptCount, unsupported
from cluster.engines.ollama_contexts import Contexts
from cluster.scheduling.prompt import estimate_tokens
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed, InvalidRequest, OllamaMaxError

SLOTS = 4

Verb = Literal["pull", "create", "delete"]
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Ollama:
    """``slots`` is how many requests it is given at once; Ollama itself queues what its models cannot run."""

    kind: EngineKind = "ollama"
    hosts_blobs = False

    def __init__(self, url: str, *, api_key: str = "", slots: int | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._slots = slots or SLOTS
        self._in_memory: set[str] = set()
        self._contexts = Contexts()
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._client = http.session(self._headers)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def health(self) -> contract.Engine:
        try:
            found = await self._get("/api/version")
        except OllamaMaxError as error:
            return contract.Engine(self.kind, healthy=False, error=error.message)
        return contract.Engine(self.kind, healthy=True, version=found.get("version"))

    async def capacity(self) -> Capacity:
        return Capacity(self._slots)

    async def models(self) -> list[contract.ModelState]:
        # Servers that speak Ollama's API without being it may not tell what is in memory.
        running = {row["digest"]: row for row in (await self._get("/api/ps", optional=True)).get("models", [])}
        rows = (await self._get("/api/tags"))["models"]
        self._in_memory = {version_of(digest) for digest in running}
        self._contexts.told({version_of(digest): row.get("context_length") for digest, row in running.items()})
        return [_state(row, running.get(row["digest"])) for row in rows]

    def loaded(self, version: str) -> bool:
        return version in self._in_memory

    def context(self, version: str) -> int | None:
        return self._contexts.of(version) if self.loaded(version) else None

    async def load(
        self,
        version: str,
        model: str,
        keep_alive: float | None = None,
        load: contract.Load = contract.NOTHING_FIXED,
        num_ctx: int | None = None,
    ) -> float:
        start = time.perf_counter()
        request = {"model": model, "stream": False} | ({"keep_alive": keep_alive} if keep_alive is not None else {})
        with self._contexts.fixed(version, load, num_ctx) as options:
            answer = await self._post("/api/generate", request | ({"options": options} if options else {}), model)
        self._in_memory.add(version)
        return float(answer.get("load_duration", 0)) / 1e6 or (time.perf_counter() - start) * 1000

    async def unload(self, version: str, model: str) -> None:
        await self._post("/api/generate", {"model": model, "stream": False, "keep_alive": 0}, model)
        self._in_memory.discard(version)
        self._contexts.forget(version)

    async def restart(self, version: str, reason: str) -> bool:
        """Its server is others'."""
        return False

    async def generate(
        self,
        version: str,
        model: str,
        inference: contract.Inference,
        traceparent: str = "",
        meter: PromptCount | None = None,
        load: contract.Load = contract.NOTHING_FIXED,
    ) -> AsyncGenerator[Output, None]:
        headers = http.trace_headers(traceparent)
        if inference.kind == "show":
            request = {"model": model, "verbose": inference.verbose}
            yield ollama_wire.shown(await self._post("/api/show", request, model, headers))
            return
        if inference.kind == "rerank":
            raise unsupported(self.kind, "rerank", "Ollama's API has no reranking")
        if inference.kind == "count":
            # Ollama has no tokenizer to ask.
            yield contract.Final(counted=estimate_tokens(inference), estimated=True)
            return
        with self._contexts.fixed(version, load, inference.options.num_ctx) as options:
            if inference.kind == "embed":
                request = _with(ollama_wire.embed(inference, model), options)
                yield ollama_wire.embedded(await self._post("/api/embed", request, model, headers), inference)
                return
            async with contextlib.aclosing(self._stream(model, inference, options, headers)) as outputs:
                async for output in demanded_call.called(outputs) if demanded_call.demanded(inference) else outputs:
                    if isinstance(output, contract.Final) and not output.prompt_tokens:
                        output.prompt_tokens = estimate_tokens(inference)
                    yield output

    async def _stream(
        self, model: str, inference: contract.Inference, options: dict[str, Any], headers: dict[str, str]
    ) -> AsyncGenerator[Output, None]:
        chat = inference.kind == "chat"
        if chat and inference.with_context and not inference.continued:
            chat, request = False, ollama_wire.remembering(inference, model)
        else:
            request = ollama_wire.chat(inference, model) if chat else ollama_wire.generate(inference, model)
        url = self._url + ("/api/chat" if chat else "/api/generate")
        chunks = ollama_wire.OllamaChunks(logprobs=inference.logprobs)
        for last, thought in _wishes(inference):
            asked = _with({k: v for k, v in request.items() if k != "think"} | thought, options)
            async with http.failures_of(self.kind), http.post(self._session, url, asked, headers) as response:
                if response.status >= 300:
                    error = _named(await http.refuse(self.kind, response, model))
                    if not last and ollama_wire.cannot_think(error):
                        continue
                    raise error
                async for found in http.lines(response.content.readany):
                    deltas = [delta for line in found if (delta := chunks.delta(_decode(line))) is not None]
                    if deltas:
                        yield contract.joined(deltas)
                break
        yield chunks.final()

    async def manage(self, verb: Verb, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Change what models the server keeps: its own progress messages. Raises `OllamaMaxError`."""
        method = "DELETE" if verb == "delete" else "POST"
        model = str(body.get("model", ""))
        async with (
            http.failures_of(self.kind),
            self._session.request(method, f"{self._url}/api/{verb}", json=body) as response,
        ):
            if response.status >= 300:
                raise _named(await http.refuse(self.kind, response, model))
            async for found in http.lines(response.content.readany):
                for line in found:
                    told = _decode(line)
                    if "error" in told:
                        raise EngineFailed(f"The ollama engine failed: {told['error']}")
                    yield told

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise EngineFailed("The ollama engine has not been started.")
        return self._client

    async def _get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        async with (
            http.failures_of(self.kind),
            self._session.get(self._url + path, timeout=http.QUICK) as response,
        ):
            if response.status == 404 and optional:
                return {}
            if response.status != 200:
                raise EngineFailed(f"The ollama engine answered {path} with HTTP {response.status}.")
            return _decode(await response.read())

    async def _post(
        self, path: str, request: dict[str, Any], model: str, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        async with (
            http.failures_of(self.kind),
            http.post(self._session, self._url + path, request, headers or {}) as response,
        ):
            if response.status >= 300:
                raise _named(await http.refuse(self.kind, response, model))
            return _decode(await response.read())


def _with(request: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The request with the options that decide how the model is loaded."""
    return request | {"options": request.get("options", {}) | options} if options else request


def _wishes(inference: contract.Inference) -> list[tuple[bool, dict[str, Any]]]:
    """How thinking is asked for, and whether that is the last try: models know levels, or on and off, or none of it, and only
    the server's refusal tells which."""
    tries: list[dict[str, Any]] = [{} if inference.think is None else {"think": inference.think}]
    if inference.think and inference.think_if_able:
        tries += [{"think": True}, {}] if isinstance(inference.think, str) else [{}]
    return [(index == len(tries) - 1, each) for index, each in enumerate(tries)]


def version_of(digest: str) -> str:
    return "sha256:" + digest.removeprefix("sha256:")


def _state(row: dict[str, Any], running: dict[str, Any] | None) -> contract.ModelState:
    expires_at = _moment(running.get("expires_at")) if running else None
    return contract.ModelState(
        version_of(row["digest"]),
        row["name"],
        "loaded" if running else "present",
        "ollama",
        size=row.get("size"),
        memory=running.get("size") if running else None,
        vram=running.get("size_vram") if running else None,
        context_length=running.get("context_length") if running else None,
        expires_at=expires_at,
        # The engine's clock is the node's, mostly.
        expires_in=None if expires_at is None else expires_at - time.time(),
    )


def _moment(text: str | None) -> float | None:
    """Unix time of Go's RFC 3339 with nanoseconds; ``None`` for a model that stays (a date centuries away)."""
    if not text:
        return None
    try:
        found = msgspec.convert(text, datetime).timestamp()
    except (msgspec.ValidationError, OverflowError):
        return None
    return found if found < time.time() + 10 * 365 * 86400 else None


def _named(error: OllamaMaxError) -> OllamaMaxError:
    """Ollama says in words what a model cannot do ("... does not support tools"); say it in our terms."""
    feature = error.message.partition(" does not support ")[2].strip(". ")
    if isinstance(error, InvalidRequest | EngineFailed) and feature:
        return unsupported("ollama", feature.split(" ")[0], error.message)
    return error
