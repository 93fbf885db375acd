"""Calls of tools that a client demands of engines that let the model answer without one: llama.cpp, and so Ollama.

The prompt is the model's own, with the tools in it; a grammar lets nothing through but a call of an allowed tool.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

import msgspec

from cluster.engines.base import Output
from cluster.engines.json_grammar import grammar_of
from ollamamax import contract
from ollamamax.kernel.errors import InvalidRequest, NotObeyed
from ollamamax.kernel.ids import new_id

_NOT = {"auto", "none"}


def demanded(inference: contract.Inference) -> list[str]:
    """The names of the tools of which one must be called; empty when the model may do without. Raises `InvalidRequest`."""
    choice = inference.tool_choice
    if inference.kind != "chat" or choice is None or (isinstance(choice, str) and choice in _NOT):
        return []
    names = [str(tool.get("function", {}).get("name", "")) for tool in inference.tools]
    if choice == "required":
        wanted = names
    elif isinstance(choice, dict) and isinstance(function := choice.get("function"), dict):
        wanted = [name for name in names if name == function.get("name")]
        if not wanted:
            raise InvalidRequest(
                f"'tool_choice' names {function.get('name')!r}, which is not among 'tools'.", param="tool_choice"
            )
    else:
        raise InvalidRequest(f"'tool_choice' is none that is known: {str(choice)[:100]}.", param="tool_choice")
    if not wanted:
        raise InvalidRequest("'tool_choice' demands a call, and there are no 'tools'.", param="tool_choice")
    return list(dict.fromkeys(wanted))


def schema_of_call(tools: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Of a call of one of ``names``, as the object that most models write."""
    functions = [tool["function"] for tool in tools if tool.get("function", {}).get("name") in names]
    calls = {
        str(index): {
            "type": "object",
            "properties": {
                "name": {"const": function["name"]},
                "arguments": _arguments(function, f"#/$defs/{index}/properties/arguments"),
            },
            "required": ["name", "arguments"],
        }
        for index, function in enumerate(functions)
    }
    return {"$defs": calls, "anyOf": [{"$ref": f"#/$defs/{index}"} for index in calls]}


def as_completion(inference: contract.Inference, prompt: str, names: list[str]) -> tuple[contract.Inference, str]:
    """The request as a completion of ``prompt``, and the grammar of a call of one of ``names``."""
    # What a tool says of its arguments is no promise, unless it is strict.
    strict = any(tool["function"].get("strict") for tool in inference.tools if tool["function"].get("name") in names)
    completion = msgspec.structs.replace(
        inference,
        kind="completion",
        prompt=prompt,
        messages=[],
        tools=[],
        tool_choice=None,
        parallel_tool_calls=None,
        format=None,
        think=None,
        template_kwargs={},
        delivery="stream" if inference.delivery == "once" else inference.delivery,
    )
    return completion, grammar_of(schema_of_call(inference.tools, names), lenient=not strict)


def _arguments(function: dict[str, Any], place: str) -> dict[str, Any]:
    """The schema of the arguments, which are an object; its references go from the root of what it is put into."""
    return cast("dict[str, Any]", _moved(function.get("parameters") or {}, place)) | {"type": "object"}


def _moved(schema: Any, place: str) -> Any:
    if isinstance(schema, list):
        return [_moved(each, place) for each in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {name: _moved(each, place) for name, each in schema.items()}
    if isinstance(reference := schema.get("$ref"), str) and reference.startswith("#"):
        moved["$ref"] = place + reference.removeprefix("#")
    return moved


async def called(outputs: AsyncGenerator[Output, None]) -> AsyncGenerator[Output, None]:
    """The text that the model wrote as the call that it is, unless the engine saw that itself.

    Of a call that was cut off there is nothing but the counts.
    """
    text: list[str] = []
    seen = False
    async for output in outputs:
        if isinstance(output, contract.Delta):
            text.append(output.text)
            seen = seen or bool(output.tool_calls)
            yield msgspec.structs.replace(output, text="", logprobs=[])
            continue
        if output.finish_reason == "stop" and not seen:
            yield contract.Delta(tool_calls=[_call("".join(text))])
            output.finish_reason = "tool_calls"
        yield output


def _call(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
        function = {"name": found["name"], "arguments": msgspec.json.encode(found["arguments"]).decode()}
    except (msgspec.DecodeError, KeyError) as error:
        raise NotObeyed("The model was to call a tool, and wrote something else.") from error
    return {"id": f"call_{new_id()}", "type": "function", "function": function}
