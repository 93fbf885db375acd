"""The official JavaScript clients `openai` and `ollama`, unmodified, in Node.js."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from ollamamax.gateway.ollama.endpoints import API_VERSION
from tests.clients.conftest import Crowd, anything
from tests.gateway.conftest import Site
from tests.patience import until

FOLDER = Path(__file__).parent / "js"
OF_WHEEL = Path(sys.prefix) / "node-bin" / "node"
NODE = str(OF_WHEEL) if OF_WHEEL.exists() else shutil.which("node")
MISSING = (
    "there is no Node.js here" if NODE is None
    else None if (FOLDER / "node_modules" / "openai").is_dir()
    else "the JavaScript clients are not installed: `make test` does it, or `npm ci` in tests/clients/js"
)  # fmt: skip

pytestmark = pytest.mark.skipif(MISSING is not None and "CI" not in os.environ, reason=str(MISSING))


async def run(site: Site, client: str, what: str) -> Any:
    """What the client's script printed."""
    assert NODE is not None, MISSING
    process = await asyncio.create_subprocess_exec(
        NODE, f"{client}.mjs", site.url, site.key, "echo", what,
        cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            output, problems = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, problems.decode()[-2000:]
    return json.loads(output)


async def test_openais_client(site: Site) -> None:
    await site.add_node(script=anything)
    found = await run(site, "openai", "everything")
    assert found["chat"]["choices"][0]["message"]["content"] == "one two three"
    assert found["chat"]["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    for calls in (found["called"], found["calledInStream"]):
        assert [(call["id"], call["function"]) for call in calls] == [("c1", {"name": "sum", "arguments": '{"a": 1}'})]
    assert found["content"] == {"colour": "blue"}
    assert found["vectors"] == [[1, pytest.approx(0.1)], [4, pytest.approx(0.1)]]
    assert found["response"] == "one two three"
    assert found["listed"] == ["echo:latest"]
    assert found["streamed"]["parts"] == ["one", " two", " three"]
    assert found["streamed"]["usage"]["completion_tokens"] == 3


async def test_ollamas_client(site: Site) -> None:
    await site.add_node(script=anything)
    found = await run(site, "ollama", "everything")
    assert found["chat"]["message"] == {"role": "assistant", "content": "one two three"}
    assert found["chat"]["done_reason"] == "stop"
    assert found["generated"]["response"] == "one two"
    assert found["called"] == [{"id": "c1", "function": {"name": "sum", "arguments": {"a": 1}}}]
    assert found["content"] == {"colour": "blue"}
    assert found["vectors"] == [[1, 0.1], [4, 0.1]]
    assert found["older"] == [4, 0.1]
    assert [model["name"] for model in found["listed"]] == ["echo:latest"]
    assert found["shown"]["capabilities"] == ["completion"]
    assert [model["name"] for model in found["running"]] == ["echo:latest"]
    assert found["version"] == {"version": API_VERSION}
    assert found["streamed"]["parts"] == ["one", " two", " three"]
    assert found["streamed"]["last"]["eval_count"] == 3


@pytest.mark.parametrize("client", ["openai", "ollama"])
async def test_a_stream_that_the_client_aborts_ends_on_the_node(site: Site, client: str) -> None:
    node = await site.add_node(script=anything)
    # It hands out what it had read already.
    assert (await run(site, client, "abort"))["count"] >= 3
    await until(lambda: any(control.verb == "cancel" for control in node.controls))
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["error"] == "client_gone"


@pytest.mark.parametrize("client", ["openai", "ollama"])
async def test_signs_of_life_in_the_queue_are_read_over(site: Site, crowd: Crowd, client: str) -> None:
    waiting = asyncio.create_task(run(site, client, "wait"))
    await crowd.heard(3)
    crowd.leave.set()
    assert (await waiting)["parts"] == ["one", " two", " three"]


async def test_openais_client_tells_what_went_wrong(site: Site) -> None:
    await site.add_node(script=anything)
    found = await run(site, "openai", "errors")
    assert (found["missing"]["class"], found["missing"]["status"]) == ("NotFoundError", 404)
    assert "nobody-has-it" in found["missing"]["message"]
    assert (found["key"]["class"], found["key"]["status"]) == ("AuthenticationError", 401)
    assert "The engine broke." in found["late"]["message"]


async def test_ollamas_client_tells_what_went_wrong(site: Site) -> None:
    await site.add_node(script=anything)
    found = await run(site, "ollama", "errors")
    assert (found["missing"]["status"], found["key"]["status"]) == (404, 401)
    assert "nobody-has-it" in found["missing"]["message"]
    assert found["late"]["message"] == "The engine broke."
