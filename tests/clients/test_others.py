"""Libraries that programs are built with, each by the protocols it speaks, in an environment of their own (`make clients`)."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import anything
from tests.gateway.conftest import Site

FOLDER = Path(__file__).parent / "python"
PYTHON = Path(os.environ.get("CLIENTS_VENV") or FOLDER.parents[2] / "build" / "clients") / "bin" / "python"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="not installed here: `make clients` does it and runs this")


async def run(site: Site, client: str) -> Any:
    await site.add_node(script=anything)
    environ = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = await asyncio.create_subprocess_exec(
        PYTHON, "ask.py", site.url, site.key, "echo", client,
        cwd=FOLDER, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(90):
            output, problems = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, problems.decode()[-3000:]
    return json.loads(output)


async def test_langchain(site: Site) -> None:
    found = await run(site, "langchain-ollama")
    assert found["chat"] == "one two three"
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (7, 3)
    assert found["streamed"] == ["one", " two", " three"]
    assert found["called"] == [["sum", {"a": 1}]]
    assert found["formatted"] == {"colour": "blue"}
    assert found["completed"] == "one two"
    assert found["vectors"] == [[1, 0.1], [4, 0.1]]


@pytest.mark.parametrize("protocol", ["openai", "ollama", "anthropic"])
async def test_litellm(site: Site, protocol: str) -> None:
    found = await run(site, f"litellm-{protocol}")
    assert found["chat"] == "one two three"
    assert found["usage"] == [7, 3]
    assert "".join(found["streamed"]) == "one two three"
    assert found["called"] == [["sum", {"a": 1}]]
    assert found["missing"] == 404
    if protocol == "openai":
        assert found["vectors"] == [[1, pytest.approx(0.1)], [4, pytest.approx(0.1)]]


async def test_langchain_by_openais_protocol(site: Site) -> None:
    found = await run(site, "langchain-openai")
    assert found["chat"] == found["streamed"] == found["response"] == "one two three"
    assert found["called"] == found["forced"] == [["sum", {"a": 1}]]
    assert found["formatted"] == {"colour": "blue"}


@pytest.mark.parametrize("way", ["chat", "responses"])
async def test_pydantic_ai(site: Site, way: str) -> None:
    found = await run(site, f"pydantic-ai-{way}")
    assert (found["chat"], found["asked"]) == ("one two three", [1])
    assert found["usage"] > 0
    assert found["formatted"] == {"colour": "blue"}


async def test_pydantic_ai_by_anthropics_protocol(site: Site) -> None:
    assert (await run(site, "pydantic-ai-anthropic"))["chat"] == "one two three"


async def test_instructor(site: Site) -> None:
    assert set(map(str, (await run(site, "instructor")).values())) == {"{'colour': 'blue'}"}


async def test_openais_agents(site: Site) -> None:
    found = await run(site, "agents")
    assert found["chat"] == found["response"] == "one two three"
    assert found["asked"] == [1, 1]
