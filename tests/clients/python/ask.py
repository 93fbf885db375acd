"""What programs that others made make of the gateway's answers: ``python ask.py URL KEY MODEL CLIENT``, one JSON document out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

URL, KEY, MODEL, CLIENT = sys.argv[1:]
SAY = [{"role": "user", "content": "one two three"}]
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "sum", "description": "Adds.", "parameters": PARAMETERS}}
SCHEMA = {"title": "answer", "type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


def langchain() -> dict[str, Any]:
    from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

    to = {"model": MODEL, "base_url": URL, "client_kwargs": {"headers": {"Authorization": f"Bearer {KEY}"}}}
    chat = ChatOllama(**to)
    answer = chat.invoke("one two three")
    called = chat.bind_tools([TOOL]).invoke("one two three")
    return {
        "chat": answer.content,
        "usage": answer.usage_metadata,
        "streamed": [part.content for part in chat.stream("one two three") if part.content],
        "called": [[call["name"], call["args"]] for call in called.tool_calls],
        "formatted": chat.with_structured_output(SCHEMA, method="json_schema").invoke("one two three"),
        "completed": OllamaLLM(**to).invoke("one two"),
        "vectors": OllamaEmbeddings(**to).embed_documents(["a", "four"]),
    }


def _litellm(prefix: str, base: str, vectors: bool) -> dict[str, Any]:
    import litellm

    litellm.suppress_debug_info = True
    to = {"model": f"{prefix}/{MODEL}", "api_base": base, "api_key": KEY, "num_retries": 0}
    answer = litellm.completion(messages=SAY, **to)
    called = litellm.completion(messages=SAY, tools=[TOOL], **to).choices[0].message.tool_calls
    parts = [part.choices[0].delta.content for part in litellm.completion(messages=SAY, stream=True, **to)]
    found = {
        "chat": answer.choices[0].message.content,
        "usage": [answer.usage.prompt_tokens, answer.usage.completion_tokens],
        "streamed": [part for part in parts if part],
        "called": [[call.function.name, json.loads(call.function.arguments)] for call in called],
    }
    if vectors:
        rows = litellm.embedding(input=["a", "four"], **to).data
        found["vectors"] = [row["embedding"] for row in rows]
    try:
        litellm.completion(messages=SAY, **(to | {"model": f"{prefix}/absent"}))
    except litellm.exceptions.APIError as error:  # the base of them all
        found["missing"] = error.status_code
    except Exception as error:  # noqa: BLE001 - reported, not judged here
        found["missing"] = getattr(error, "status_code", repr(error))
    return found


def langchain_openai() -> dict[str, Any]:
    from langchain_openai import ChatOpenAI
    from pydantic import BaseModel

    class Colour(BaseModel):
        colour: str

    chat = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    called = chat.bind_tools([TOOL]).invoke("one two three")
    forced = chat.bind_tools([TOOL], tool_choice="sum").invoke("one two three")
    over_responses = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, use_responses_api=True)
    return {
        "chat": chat.invoke("one two three").content,
        "streamed": "".join(part.content for part in chat.stream("one two three")),
        "called": [[call["name"], call["args"]] for call in called.tool_calls],
        "forced": [[call["name"], call["args"]] for call in forced.tool_calls],
        "formatted": chat.with_structured_output(Colour).invoke("one two three").model_dump(),
        "response": over_responses.invoke("one two three").text,
    }


def _pydantic_ai(model: Any) -> dict[str, Any]:
    from pydantic import BaseModel
    from pydantic_ai import Agent, NativeOutput

    class Colour(BaseModel):
        colour: str

    agent = Agent(model)
    asked: list[int] = []

    def sum(a: int) -> str:  # noqa: A001 - the tool that the scripted node calls
        asked.append(a)
        return "one two three"

    agent.tool_plain(sum)
    answer = agent.run_sync("one two three")
    found = {"chat": answer.output, "asked": asked, "usage": answer.usage.output_tokens}
    found["formatted"] = Agent(model, output_type=NativeOutput(Colour)).run_sync("say").output.model_dump()
    return found


def pydantic_ai_openai(kind: str) -> dict[str, Any]:
    from pydantic_ai.models import openai
    from pydantic_ai.providers.openai import OpenAIProvider

    return _pydantic_ai(getattr(openai, kind)(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)))


def pydantic_ai_anthropic() -> dict[str, Any]:
    from anthropic import AsyncAnthropic
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0)
    model = AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=client))
    return {"chat": Agent(model).run_sync("one two three").output}


def instructor_() -> dict[str, Any]:
    import instructor
    import openai
    from pydantic import BaseModel

    class Colour(BaseModel):
        colour: str

    plain = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    found = {}
    for mode in (instructor.Mode.JSON_SCHEMA, instructor.Mode.JSON):
        client = instructor.from_openai(plain, mode=mode)
        made = client.chat.completions.create(model=MODEL, messages=SAY, response_model=Colour, max_retries=0)
        found[mode.value] = made.model_dump()
    return found


def agents() -> dict[str, Any]:
    import agents
    import openai

    agents.set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    asked: list[int] = []

    def sum(a: int) -> str:  # noqa: A001 - the tool that the scripted node calls
        asked.append(a)
        return "one two three"

    found: dict[str, Any] = {}
    for name, kind in {
        "chat": agents.OpenAIChatCompletionsModel,
        "response": agents.OpenAIResponsesModel,
    }.items():
        agent = agents.Agent(
            name="a", instructions="be brief", model=kind(MODEL, client), tools=[agents.function_tool(sum)]
        )
        found[name] = agents.Runner.run_sync(agent, "one two three").final_output
    return found | {"asked": asked}


CLIENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "langchain-ollama": langchain,
    "langchain-openai": langchain_openai,
    "pydantic-ai-chat": lambda: pydantic_ai_openai("OpenAIChatModel"),
    "pydantic-ai-responses": lambda: pydantic_ai_openai("OpenAIResponsesModel"),
    "pydantic-ai-anthropic": pydantic_ai_anthropic,
    "instructor": instructor_,
    "agents": agents,
    "litellm-openai": lambda: _litellm("openai", f"{URL}/v1", vectors=True),
    "litellm-ollama": lambda: _litellm("ollama_chat", URL, vectors=False),
    "litellm-anthropic": lambda: _litellm("anthropic", URL, vectors=False),
}

print(json.dumps(CLIENTS[CLIENT](), default=str))  # noqa: T201
