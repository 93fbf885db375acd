"""What the fake nodes of these tests answer, beyond an echo."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ollamamax.contract import Delta, Event, Failure, Final, Ticket


async def embeds(ticket: Ticket) -> AsyncIterator[Event]:
    """A vector for each input: its length, and a number that 32 bits cannot hold exactly."""
    vectors = [[float(len(text)), 0.1] for text in ticket.inference.inputs]
    yield Final(prompt_tokens=5, load_ms=1.0, embeddings=vectors)


async def embeds_not(ticket: Ticket) -> AsyncIterator[Event]:
    yield Failure("unsupported", "The openai engine cannot do embed.", 400, "embed")


def probability(token: str, logprob: float = -0.5) -> dict[str, object]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


async def is_sure(ticket: Ticket) -> AsyncIterator[Event]:
    """Two tokens with their probabilities, if they were asked for."""
    for token in ("Hé", "llo"):
        entry = {**probability(token), "top_logprobs": [probability(token), probability("x", -2.0)]}
        yield Delta(text=token, tokens=1, logprobs=[entry] if ticket.inference.logprobs else [])
    yield Final("length", prompt_tokens=3, completion_tokens=2)


async def remembers(ticket: Ticket) -> AsyncIterator[Event]:
    """Loads and unloads, as the real node does with an empty request."""
    yield Final("unload" if ticket.inference.keep_alive == 0 else "load")


async def describes(ticket: Ticket) -> AsyncIterator[Event]:
    tokens = ["a", "b"] if ticket.inference.verbose else []
    yield Final(
        info={
            "template": "{{ messages }}",
            "license": "apache-2.0",
            "capabilities": ["completion"],
            "model_info": {"general.architecture": "llama", "tokenizer.ggml.tokens": tokens},
        }
    )


def calling(arguments: str) -> Delta:
    function = {"name": "sum", "arguments": arguments}
    return Delta(tokens=5, tool_calls=[{"id": "c1", "type": "function", "function": function}])


async def calls_a_tool(ticket: Ticket) -> AsyncIterator[Event]:
    yield Delta(thinking="hm")
    yield calling('{"a": 1}')
    yield Final("tool_calls", prompt_tokens=3, completion_tokens=5)


async def calls_badly(ticket: Ticket) -> AsyncIterator[Event]:
    yield calling('{"a": ')
    yield Final("tool_calls", prompt_tokens=3, completion_tokens=5)


async def thinks_aloud(ticket: Ticket) -> AsyncIterator[Event]:
    """All that a model can say in one answer."""
    yield Delta(thinking="h", tokens=1)
    yield Delta(thinking="m", tokens=1)
    yield Delta(text="I ", tokens=1)
    yield Delta(text="add", tokens=1)
    yield calling('{"a": 1}')
    yield Final("tool_calls", prompt_tokens=30, completion_tokens=9, cached_tokens=20)


async def breaks_late(ticket: Ticket) -> AsyncIterator[Event]:
    yield Delta(text="x", tokens=1)
    yield Failure("engine_failed", "The engine broke.", 502, None, 5, 1)


async def counts(ticket: Ticket) -> AsyncIterator[Event]:
    yield Final(counted=42)


async def counts_not(ticket: Ticket) -> AsyncIterator[Event]:
    yield Failure("unsupported", "The ollama engine cannot do count_tokens.", 400, "count_tokens")
