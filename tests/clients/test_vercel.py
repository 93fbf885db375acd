"""Vercel's AI SDK with its providers of all three protocols, in Node.js (`make clients`)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.clients.conftest import anything
from tests.clients.test_javascript import NODE
from tests.gateway.conftest import Site

FOLDER = Path(__file__).parent / "vercel"

pytestmark = pytest.mark.skipif(
    NODE is None or not (FOLDER / "node_modules" / "ai").is_dir(),
    reason="not installed here: `make clients` does it and runs this",
)


@pytest.mark.parametrize("provider", ["openai", "openai-chat", "compatible", "anthropic", "deepseek", "ollama"])
async def test_a_provider_of_vercels_sdk(site: Site, provider: str) -> None:
    await site.add_node(script=anything)
    assert NODE is not None
    process = await asyncio.create_subprocess_exec(
        NODE, "ask.mjs", site.url, site.key, "echo", provider,
        cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            output, problems = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, problems.decode()[-3000:]
    found = json.loads(output)
    assert (found["text"], found["streamed"], found["reason"]) == ("one two three", "one two three", "stop")
    assert found["usage"] == 3
    assert found["asked"] == [1]
    assert found["formatted"] == {"colour": "blue"}
