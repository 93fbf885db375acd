"""The llama.cpp engine: it runs the registry's blobs, one child process for each model in memory (`llamacpp_residents`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from importlib import metadata

import aiohttp
import msgspec
import psutil

from cluster.engines import demanded_call, http, openai_stream, openai_tokens, openai_wire
from cluster.engines.base import Capacity, EngineKind, LocalModels, Output, PromptCount
from cluster.engines.gguf_metadata import read_metadata, shown
from cluster.engines.llamacpp_process import LlamaProcess
from cluster.engines.llamacpp_residents import Residents
from cluster.engines.llamacpp_served import KIND, Served, check_kind
from cluster.engines.poster import Poster
from cluster.engines.template import is_jinja
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed

_AROUND = 8
"""Tokens that a model may put around a text. Of the text itself a token is a byte or more."""


class LlamaCpp:
    kind: EngineKind = KIND
    hosts_blobs = True

    def __init__(
        self,
        models: LocalModels,
        *,
        slots: int = 4,
        context: int = 4096,
        threads: int | None = None,
        available_memory: Callable[[], int] = lambda: int(psutil.virtual_memory().available),
    ) -> None:
        self._slots = slots
        self._context = context
        # One core stays free: with a thread for each, whatever else runs makes all of them wait at every barrier.
        threads = threads or max(1, (psutil.cpu_count(logical=False) or 1) - 1)
        self.residents = Residents(
            models,
            lambda: self._session,
            slots=slots,
            context=context,
            threads=threads,
            available_memory=available_memory,
        )
        self._client: aiohttp.ClientSession | None = None
        # llama.cpp keeps a thread for each open connection.
        self._poster = Poster(reuse=False)

    async def start(self) -> None:
        self._client = http.session({}, reuse=False)
        self.residents.start()

    async def close(self) -> None:
        await self.residents.close()
        if self._client is not None:
            await self._client.close()

    async def health(self) -> contract.Engine:
        return contract.Engine("llamacpp", healthy=True, version=metadata.version("xllamacpp"), hosts_blobs=True)

    async def capacity(self) -> Capacity:
        return Capacity(self._slots, running=sum(s.users for s in self.residents.served.values()))

    async def models(self) -> list[contract.ModelState]:
        return [_state(served, self._slots) for served in self.residents.served.values() if served.state != "unloaded"]

    def loaded(self, version: str) -> bool:
        served = self.residents.served.get(version)
        return served is not None and served.state == "loaded"

    def context(self, version: str) -> int | None:
        return self.residents.served[version].context if self.loaded(version) else None

    async def load(
        self,
        version: str,
        model: str,
        keep_alive: float | None = None,
        load: contract.Load = contract.NOTHING_FIXED,
        num_ctx: int | None = None,
    ) -> float:
        return await self.residents.load(version, model, keep_alive, load, num_ctx)

    async def unload(self, version: str, model: str) -> None:
        await self.residents.unload(version)

    async def restart(self, version: str, reason: str) -> bool:
        return self.residents.restart(version, reason)

    def pids(self) -> list[int]:
        """Of its child processes that live."""
        processes = [served.process for served in self.residents.served.values()]
        return [process.pid for process in processes if process is not None and process.alive]

    async def generate(
        self,
        version: str,
        model: str,
        inference: contract.Inference,
        traceparent: str = "",
        meter: PromptCount | None = None,
        load: contract.Load = contract.NOTHING_FIXED,
    ) -> AsyncGenerator[Output, None]:
        served = self.residents.find(version, model)
        if inference.kind == "show":
            metadata = await asyncio.to_thread(read_metadata, served.model.path)
            recipe = served.model.recipe
            # Templates in Go are rendered by us, for plain chats; tools and thoughts go through the file's own.
            applied = recipe.template if is_jinja(recipe.template) else ""
            yield contract.Final(info=shown(metadata, verbose=inference.verbose, template=applied) | recipe.shown())
            return
        check_kind(served.model, inference)
        inference = served.model.recipe.applied(inference, served.most_context(load))
        async with self.residents.using(served, inference, load) as (process, load_ms):
            inference = served.able(inference)
            served.check(inference)
            headers = {"Authorization": f"Bearer {process.api_key}", **http.trace_headers(traceparent)}
            ask = (self._session, self.kind, process.url)
            if inference.kind in {"embed", "rerank"}:
                final = await self._at_once(served, process, inference, load, headers)
                final.load_ms = load_ms
                yield final
                return
            if inference.kind == "count":
                yield contract.Final(counted=await self._count(served, process, inference, headers))
                return
            if inference.context:
                ids = await self._conversation(served, process, inference, headers)
                inference = msgspec.structs.replace(
                    inference, kind="completion", messages=[], prompt_ids=ids, context=[], think=None
                )
            asked, extra, names = inference, served.model.recipe.server_fields(), demanded_call.demanded(inference)
            if names:
                prompt = await openai_tokens.llamacpp_prompt(*ask, inference, headers, {"enable_thinking": False})
                inference, extra["grammar"] = demanded_call.as_completion(inference, prompt, names)
            elif served.renders(inference):
                inference = await asyncio.to_thread(served.rendered, inference)
            elif inference.format is not None and served.thinks and inference.kind == "chat":
                prompt = await openai_tokens.llamacpp_prompt(*ask, inference, headers, served.switches(inference))
                extra["grammar"] = served.grammar(inference, prompt)
            outputs = openai_stream.stream(
                self._poster,
                self.kind,
                process.url,
                "model",
                inference,
                openai_wire.LLAMACPP,
                headers,
                meter,
                load_ms,
                extra,
            )
            said: list[str] = []
            async for output in demanded_call.called(outputs) if names else outputs:
                if asked.with_context:
                    if isinstance(output, contract.Delta):
                        said.append(output.text)
                    else:
                        before = asked.prompt_ids or await self._conversation(served, process, asked, headers)
                        own = await openai_tokens.llamacpp_tokens(*ask, "".join(said), headers, special=False)
                        output.context = before + own
                if asked.continued and isinstance(output, contract.Final):
                    # What was said counts other tokens when it is read than when it was generated.
                    output.prompt_tokens = await self._prompt_tokens(served, process, asked, headers)
                yield output

    async def _conversation(
        self, served: Served, process: LlamaProcess, inference: contract.Inference, headers: dict[str, str]
    ) -> list[int]:
        """The tokens of all that a chat's answer follows."""
        ask = (self._session, self.kind, process.url)
        if served.renders(inference):
            prompt = (await asyncio.to_thread(served.rendered, inference)).prompt
        else:
            switches = served.switches(inference)
            prompt = await openai_tokens.llamacpp_prompt(*ask, inference, headers, switches) + inference.continued
        begins = not inference.context
        return inference.context + await openai_tokens.llamacpp_tokens(*ask, prompt, headers, special=begins)

    async def _at_once(
        self,
        served: Served,
        process: LlamaProcess,
        inference: contract.Inference,
        load: contract.Load,
        headers: dict[str, str],
    ) -> contract.Final:
        """Embed, or rerank."""
        asked = (self._session, self.kind, process.url, "model")
        if inference.kind == "rerank":
            return await openai_stream.rerank(*asked, inference, headers)
        if inference.truncate:
            # By the context that was asked for, and not by what others had it loaded with: one text has one vector.
            context = min(served.context, inference.options.num_ctx or load.num_ctx or self._context)
            inference = await self._cut(process, inference, context, headers)
        return await openai_stream.embed(*asked, inference, headers)

    async def _cut(
        self, process: LlamaProcess, inference: contract.Inference, context: int, headers: dict[str, str]
    ) -> contract.Inference:
        """With as many tokens of each text as ``context`` takes."""
        if inference.input_ids:
            ids = [each[: context - 1] for each in inference.input_ids]
        elif all(len(text.encode()) + _AROUND < context for text in inference.inputs):
            return inference
        else:
            ids = [await self._fitting(process, text, context, headers) for text in inference.inputs]
        return msgspec.structs.replace(inference, inputs=[], input_ids=ids)

    async def _fitting(self, process: LlamaProcess, text: str, context: int, headers: dict[str, str]) -> list[int]:
        """A text's tokens, as many as the context takes; the one that ends every text of the model stays at the end."""
        ask = (self._session, self.kind, process.url, text, headers)
        ids = await openai_tokens.llamacpp_tokens(*ask)
        if len(ids) < context:
            return ids
        own_end = ids[-1:] if ids[-1:] != (await openai_tokens.llamacpp_tokens(*ask, special=False))[-1:] else []
        return ids[: context - 1 - len(own_end)] + own_end

    async def _prompt_tokens(
        self, served: Served, process: LlamaProcess, inference: contract.Inference, headers: dict[str, str]
    ) -> int:
        """Of the prompt alone, when an answer is continued."""
        if inference.kind == "chat":
            return await self._count(served, process, inference, headers)
        prompt = inference.prompt.removesuffix(inference.continued)
        return len(await openai_tokens.llamacpp_tokens(self._session, self.kind, process.url, prompt, headers))

    async def _count(
        self, served: Served, process: LlamaProcess, inference: contract.Inference, headers: dict[str, str]
    ) -> int:
        """The tokens of the messages and tools in the model's template."""
        if served.renders(inference):
            prompt = (await asyncio.to_thread(served.rendered, inference)).prompt.removesuffix(inference.continued)
            return len(await openai_tokens.llamacpp_tokens(self._session, self.kind, process.url, prompt, headers))
        return await openai_tokens.llamacpp_count(self._session, self.kind, process.url, inference, headers)

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise EngineFailed("The llama.cpp engine has not been started.")
        return self._client


def _state(served: Served, slots: int) -> contract.ModelState:
    left = served.expires_in()
    return contract.ModelState(
        version=served.model.version,
        name=served.model.name,
        state="ready" if served.state == "unloaded" else served.state,
        engine="llamacpp",
        size=served.model.size,
        memory=served.process.memory() if served.process else None,
        error=served.error,
        context_length=served.context,
        expires_at=time.time() + left if left is not None and served.state == "loaded" else None,
        expires_in=left if served.state == "loaded" else None,
        slots=slots if served.state == "loaded" else None,
    )
