"""The tokenizers of servers that speak OpenAI's API, each at its own address: counts, and inputs cut to fit."""

from __future__ import annotations

from typing import Any

import aiohttp

from cluster.engines import http, openai_wire
from cluster.scheduling.prompt import estimate_tokens
from ollamamax import contract
from ollamamax.kernel.errors import OllamaMaxError

KIND = "openai"


async def count(
    client: aiohttp.ClientSession,
    url: str,
    model: str,
    inference: contract.Inference,
    dialect: openai_wire.Dialect,
    headers: dict[str, str],
) -> contract.Final:
    """The prompt's tokens, messages and tools in the model's template; an estimate where the server has no page for that."""
    try:
        if dialect is openai_wire.LLAMACPP:
            return contract.Final(counted=await llamacpp_count(client, KIND, url, inference, headers))
        if dialect is openai_wire.VLLM:
            answer = await ask(client, KIND, f"{url}/tokenize", _request(model, inference), headers)
            if isinstance(found := answer.get("count"), int) and found >= 0:
                return contract.Final(counted=found)
    except OllamaMaxError:
        pass  # an older one has no such page: what is wanted is not worth an error
    return contract.Final(counted=estimate_tokens(inference), estimated=True)


def _request(model: str, inference: contract.Inference) -> dict[str, Any]:
    if inference.kind == "completion":
        return {"model": model, "prompt": inference.prompt}
    made = openai_wire.body(KIND, contract.Inference("chat", messages=inference.messages), model, openai_wire.VLLM)
    kept = {"model", "messages", "add_generation_prompt", "continue_final_message"}
    return {k: v for k, v in made.items() if k in kept} | ({"tools": inference.tools} if inference.tools else {})


async def llamacpp_count(
    client: aiohttp.ClientSession, engine: str, url: str, inference: contract.Inference, headers: dict[str, str]
) -> int:
    """By llama.cpp's own server: the messages and tools in the model's template, or the prompt of a completion."""
    text = inference.prompt
    if inference.kind != "completion":
        text = await llamacpp_prompt(client, engine, url, inference, headers)
    return len(await llamacpp_tokens(client, engine, url, text, headers))


async def llamacpp_prompt(
    client: aiohttp.ClientSession,
    engine: str,
    url: str,
    inference: contract.Inference,
    headers: dict[str, str],
    switches: dict[str, Any] | None = None,
) -> str:
    """What the model's template makes of the messages and tools."""
    messages = [openai_wire.known_role(message) for message in inference.messages]
    request: dict[str, Any] = {"messages": messages}
    if inference.tools:
        request["tools"] = inference.tools
    if switches:
        request["chat_template_kwargs"] = switches
    prompt: str = (await ask(client, engine, f"{url}/apply-template", request, headers))["prompt"]
    return prompt


async def llamacpp_tokens(
    client: aiohttp.ClientSession, engine: str, url: str, text: str, headers: dict[str, str], *, special: bool = True
) -> list[int]:
    """``special``: with what the model puts around every text."""
    request = {"content": text, "add_special": special, "parse_special": True}
    found: list[int] = (await ask(client, engine, f"{url}/tokenize", request, headers))["tokens"]
    return found


async def ask(
    client: aiohttp.ClientSession, engine: str, url: str, request: dict[str, Any], headers: dict[str, str]
) -> dict[str, Any]:
    async with http.failures_of(engine), http.post(client, url, request, headers) as response:
        if response.status >= 300:
            raise await http.refuse(engine, response, "this model")
        found: dict[str, Any] = await response.json(content_type=None)
        return found
