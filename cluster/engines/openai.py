"""The engine for any OpenAI-compatible server: vLLM, SGLang, TGI, llama.cpp's own, and the like."""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from cluster.engines import demanded_call, http, openai_stream, openai_tokens, openai_wire
from cluster.engines.base import Capacity, EngineKind, Output, PromptCount, unsupported
from cluster.engines.poster import Poster
from ollamamax import contract
from ollamamax.contract.bounds import MOST_CAPACITY
from ollamamax.kernel.errors import ContextTooLong, EngineFailed, ModelNotFound

SLOTS = 64


_SLOTS_TOLD = {"llamacpp": ("/props", "total_slots"), "sglang": ("/get_server_info", "max_running_requests")}
"""By the server's dialect: the page, and the field of its JSON."""


def version_of(model: str) -> str:
    """The version of a model that the server keeps itself: it follows from the server's own name for it."""
    canonical = msgspec.json.encode({"engine": "openai", "model": model}, order="sorted")
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


class OpenAI:
    """``url`` is the server's root, with or without ``/v1``; ``slots`` how many requests it is given at once."""

    kind: EngineKind = "openai"
    hosts_blobs = False

    def __init__(self, url: str, *, api_key: str = "", slots: int | None = None) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._chosen = slots
        self._told: int | None = None
        """Requests that the server itself says it runs at once."""
        self._dialect = openai_wire.PLAIN
        self._contexts: dict[str, int] = {}
        self._present: dict[str, str] = {}
        self._client: aiohttp.ClientSession | None = None
        self._poster = Poster(self._headers)

    async def start(self) -> None:
        self._client = http.session(self._headers)

    async def close(self) -> None:
        self._poster.close()
        if self._client is not None:
            await self._client.close()

    async def health(self) -> contract.Engine:
        """Healthy when the server lists its models, which every such server does."""
        try:
            await self.models()
        except EngineFailed as error:
            return contract.Engine(self.kind, healthy=False, error=error.message)
        return contract.Engine(self.kind, healthy=True, version=await self._server_version())

    async def capacity(self) -> Capacity:
        metrics = await self._metrics() if self._dialect is openai_wire.VLLM else {}
        cache = metrics.get("vllm:kv_cache_usage_perc", metrics.get("vllm:gpu_cache_usage_perc"))
        return Capacity(
            self._chosen or self._told or SLOTS,
            running=_whole(metrics.get("vllm:num_requests_running")),
            waiting=_whole(metrics.get("vllm:num_requests_waiting")),
            kv_cache_percent=cache * 100 if cache is not None else None,
        )

    async def models(self) -> list[contract.ModelState]:
        async with (
            http.failures_of(self.kind),
            self._session.get(f"{self._url}/v1/models", timeout=http.QUICK) as response,
        ):
            if response.status != 200:
                raise EngineFailed(f"The openai engine answered /v1/models with HTTP {response.status}.")
            rows = (await response.json(content_type=None))["data"]
            self._learn(rows)
        self._told = await self._told_slots()
        return [
            contract.ModelState(
                version_of(row["id"]),
                row["id"],
                "loaded",
                "openai",
                context_length=self._contexts.get(row["id"]),
                slots=self._told,
            )
            for row in rows
        ]

    def loaded(self, version: str) -> bool:
        return version in self._present

    def context(self, version: str) -> int | None:
        return self._contexts.get(self._present.get(version, ""))

    async def load(
        self,
        version: str,
        model: str,
        keep_alive: float | None = None,
        load: contract.Load = contract.NOTHING_FIXED,
        num_ctx: int | None = None,
    ) -> float:
        """Nothing to do: such a server keeps its models loaded. Raises `ModelNotFound` when it has not got it."""
        await self.models()
        if version_of(model) not in self._present:
            raise ModelNotFound(f"The openai engine does not have {model}.", param="model")
        return 0.0

    async def unload(self, version: str, model: str) -> None:
        raise unsupported(self.kind, "unload", "its server decides what it keeps in memory")

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
        self._check(inference)
        headers = http.trace_headers(traceparent)
        if inference.kind == "embed":
            yield await self._embed(model, inference, headers)
            return
        if inference.kind == "rerank":
            yield await openai_stream.rerank(self._session, self.kind, self._url, model, inference, headers)
            return
        if inference.kind == "show":
            context = self._contexts.get(model)
            yield contract.Final(info={"model_info": {"context_length": context}} if context else {})
            return
        if inference.kind == "count":
            yield await self._count(model, inference, headers)
            return
        extra: dict[str, Any] = {}
        names = demanded_call.demanded(inference) if self._dialect is openai_wire.LLAMACPP else []
        if names:
            ask = (self._session, self.kind, self._url, inference, headers)
            prompt = await openai_tokens.llamacpp_prompt(*ask, {"enable_thinking": False})
            inference, extra["grammar"] = demanded_call.as_completion(inference, prompt, names)
        outputs = openai_stream.stream(
            self._poster, self.kind, self._url, model, inference, self._dialect, headers, meter, extra=extra
        )
        async for output in demanded_call.called(outputs) if names else outputs:
            if isinstance(output, contract.Final) and not output.prompt_tokens:
                output.prompt_tokens = (await self._count(model, inference, headers)).counted
            yield output

    async def _embed(self, model: str, inference: contract.Inference, headers: dict[str, str]) -> contract.Final:
        asked = (self._session, self.kind, self._url, model, inference, headers)
        try:
            return await openai_stream.embed(*asked)
        except ContextTooLong:
            if not inference.truncate or self._dialect is not openai_wire.VLLM:
                raise
        # vLLM's own way to say: as many as the model takes.
        return await openai_stream.embed(*asked, {"truncate_prompt_tokens": -1})

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise EngineFailed("The openai engine has not been started.")
        return self._client

    def _check(self, inference: contract.Inference) -> None:
        """Refuse what only the server's own start options could change.

        Not its context: the server does what fits into it, and refuses a prompt that does not.
        """
        if inference.keep_alive == 0:
            raise unsupported(self.kind, "keep_alive", "its server decides what it keeps in memory")

    async def _count(self, model: str, inference: contract.Inference, headers: dict[str, str]) -> contract.Final:
        """By the server's own tokenizer where it has a page for that, or else an estimate."""
        return await openai_tokens.count(self._session, self._url, model, inference, self._dialect, headers)

    def _learn(self, rows: list[dict[str, Any]]) -> None:
        self._present = {version_of(row["id"]): row["id"] for row in rows}
        if rows:
            self._dialect = openai_wire.dialect_of(rows[0].get("owned_by") or "")
        for row in rows:
            # vLLM and SGLang say max_model_len, llama.cpp meta.n_ctx.
            length = row.get("max_model_len") or (row.get("meta") or {}).get("n_ctx")
            if length:
                self._contexts[row["id"]] = length

    async def _told_slots(self) -> int | None:
        """llama.cpp's server and SGLang's tell how many requests they run at once; vLLM's has no page for its ``max_num_seqs``."""
        page, name = _SLOTS_TOLD.get(self._dialect.name, ("", ""))
        if not page:
            return None
        try:
            async with self._session.get(f"{self._url}{page}", timeout=http.QUICK) as response:
                found = await response.json(content_type=None) if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return self._told  # it is busy, or starts again: what it said last stands
        slots = found.get(name) if isinstance(found, dict) else None
        return min(slots, MOST_CAPACITY) if type(slots) is int and slots > 0 else None

    async def _server_version(self) -> str | None:
        """vLLM's and SGLang's version; ``None`` where the server has no such page."""
        try:
            async with self._session.get(f"{self._url}/version", timeout=http.QUICK) as response:
                found = await response.json(content_type=None) if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        return found.get("version") if isinstance(found, dict) else None

    async def _metrics(self) -> dict[str, float]:
        try:
            async with self._session.get(f"{self._url}/metrics", timeout=http.QUICK) as response:
                return read_metrics(await response.text()) if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError):
            return {}


_LOAD = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
)


def read_metrics(text: str) -> dict[str, float]:
    """What a vLLM server's page says of its load, by name: a server may label samples by model and by engine. Counts of one name are added up; of
    parts of caches the fullest counts. What is no line, or no number, is left out.

    Prometheus' own parser reads these lines alone: a whole page has hundreds of others and takes it 6.5 ms, in the loop that passes tokens on.
    """
    found: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith(_LOAD):
            continue
        try:
            samples = [sample for family in text_string_to_metric_families(line) for sample in family.samples]
        except ValueError:
            continue
        for sample in samples:
            if sample.name in _LOAD and math.isfinite(sample.value):
                before = found.get(sample.name, 0.0)
                added = sample.name.startswith("vllm:num_")
                found[sample.name] = before + sample.value if added else max(before, sample.value)
    return found


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None else None
