"""POST /api/show, with the official client and by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ollama
import pytest

from models_registry.modelfile import as_fields, parse
from ollamamax.contract import Event, Final, Ticket
from ollamamax.gateway.ollama import show
from tests.gateway.conftest import Site
from tests.gateway.scripts import describes
from tests.gateway.test_fallbacks import add_model, add_node

MUCH: dict[str, Any] = {
    "template": '{{ if .System }}{{ .System }}\n{{ end }}{{ .Prompt }} "quoted" ',
    "system": "Be brief.\nAnd kind.",
    "license": "A license\nof two lines",
    "parameters": 'temperature                    0.5\nstop                           "a b"\nstop                           "\\""',
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": " ho "}],
    "capabilities": ["completion", "tools"],
}


async def describes_much(ticket: Ticket) -> AsyncIterator[Event]:
    yield Final(info=MUCH)


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> None:
    show._kept.clear()


def _client(site: Site, key: str | None = None) -> ollama.AsyncClient:
    return ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {key or site.key}"})


async def test_the_official_client_sees_what_a_node_knows(site: Site) -> None:
    node = await site.add_node(script=describes)
    shown = await _client(site).show("echo")
    assert shown.template == "{{ messages }}"
    assert shown.license == "apache-2.0"
    assert shown.capabilities == ["completion"]
    assert shown.details is not None
    assert (shown.details.family, shown.details.parameter_size) == ("llama", "1B")
    assert shown.modelinfo == {"general.architecture": "llama", "tokenizer.ggml.tokens": []}
    assert shown.modified_at is not None
    # What a version is never changes: a second look asks nobody.
    await _client(site).show("echo:latest")
    assert len(node.tickets) == 1


async def test_the_modelfile_says_all_that_create_needs(site: Site) -> None:
    await site.add_node(script=describes_much)
    body = {"model": "Echo", "options": {"num_ctx": 512, "stop": ["e"]}}
    async with site.post("/api/show", body) as response:
        answer = await response.json()
    fields = as_fields(parse(answer["modelfile"]))
    assert fields["from"] == "echo:latest"
    assert {name: fields[name] for name in ("template", "system", "messages")} == {
        name: MUCH[name] for name in ("template", "system", "messages")
    }
    assert fields["license"] == [MUCH["license"]]
    # The last of a name counts, as in Ollama; texts that are lists gather.
    assert fields["parameters"] == {"temperature": ["0.5"], "stop": ["a b", '"', "e"], "num_ctx": ["512"]}
    async with site.post("/api/show", {"model": "echo", "system": "Be loud.", "template": "x"}) as response:
        answer = await response.json()
        assert response.headers["x-ollamamax-ignored"] == "template"
    assert answer["system"] == as_fields(parse(answer["modelfile"]))["system"] == "Be loud."


async def test_what_only_an_engine_knows_is_told_under_the_keys_that_clients_read(site: Site) -> None:
    async def tells_length(ticket: Ticket) -> AsyncIterator[Event]:
        yield Final(info={"model_info": {"context_length": 8192}})

    await add_model(site, "bare")
    await add_node(site, "bare", script=tells_length)
    async with site.post("/api/show", {"model": "bare"}) as response:
        answer = await response.json()
    assert answer["model_info"] == {"general.architecture": "unknown", "unknown.context_length": 8192}
    assert answer["capabilities"] == ["completion"]


async def test_verbose_tells_the_long_lists_too(site: Site) -> None:
    await site.add_node(script=describes)
    async with site.post("/api/show", {"name": "echo", "verbose": True}) as response:
        assert (await response.json())["model_info"]["tokenizer.ggml.tokens"] == ["a", "b"]


async def test_without_a_node_the_directory_answers(site: Site) -> None:
    async with site.post("/api/show", {"model": "echo"}) as response:
        answer = await response.json()
    assert response.status == 200
    assert answer["details"]["quantization_level"] == "Q4_1"
    assert answer["model_info"] == {"general.architecture": "llama"}
    assert "template" not in answer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"model": 3}, 400),
        ({"model": "echo", "verbose": "very"}, 400),
        ({"model": "echo", "system": 5}, 400),
        ({"model": "nothing"}, 404),
    ],
)
async def test_bad_input_is_refused(site: Site, body: Any, status: int) -> None:
    async with site.post("/api/show", body) as response:
        assert response.status == status
        assert set(await response.json()) == {"error"}


async def test_a_stranger_sees_nothing_of_it(site: Site, stranger: str) -> None:
    node = await site.add_node(script=describes)
    await _client(site).show("echo")
    with pytest.raises(ollama.ResponseError, match="not found"):
        await _client(site, stranger).show("echo")
    assert len(node.tickets) == 1
