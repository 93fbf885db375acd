"""Programs that people use as they are, each in an environment of its own: aider, and Open WebUI where it was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients.conftest import anything
from tests.gateway.conftest import Site
from tests.servers import free_port

BUILD = Path(__file__).parents[2] / "build"
AIDER = BUILD / "aider" / "bin" / "aider"
WEBUI = BUILD / "open-webui" / "bin" / "open-webui"
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OFFLINE_MODE": "true", "ANONYMIZED_TELEMETRY": "False"}


@pytest.mark.skipif(not AIDER.exists(), reason="not installed here: `make clients` does it and runs this")
async def test_aider_answers_a_question(site: Site, tmp_path: Path) -> None:
    await site.add_node(script=anything)
    environ = os.environ | {"HOME": str(tmp_path), "OPENAI_API_BASE": f"{site.url}/v1", "OPENAI_API_KEY": site.key}
    process = await asyncio.create_subprocess_exec(
        AIDER, "--model", "openai/echo", "--no-show-model-warnings", "--no-check-update", "--no-analytics", "--yes-always",
        "--no-git", "--edit-format", "ask", "--message", "one two three",
        cwd=tmp_path, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = await _output(process)
    assert process.returncode == 0, output
    assert "one two three" in output


@contextlib.asynccontextmanager
async def open_webui(site: Site, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Open WebUI without accounts, connected both ways that it knows; logged in."""
    port = free_port()
    # It would take this suite's database for its own.
    environ = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    environ |= QUIET | {
        "DATA_DIR": str(folder),
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": "only for this test",
        "RAG_EMBEDDING_ENGINE": "openai",
        "OPENAI_API_BASE_URL": f"{site.url}/v1",
        "OPENAI_API_KEY": site.key,
        "OLLAMA_BASE_URL": site.url,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        WEBUI, "serve", "--host", "127.0.0.1", "--port", str(port),
        cwd=folder, env=environ, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with asyncio.timeout(110):
                while not await _is_up(session):
                    assert process.returncode is None
                    await asyncio.sleep(0.5)
            async with session.post("/api/v1/auths/signin", json={"email": "", "password": ""}) as response:
                session.headers["Authorization"] = f"Bearer {(await response.json())['token']}"
            yield session
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@pytest.mark.timeout(240)
@pytest.mark.skipif(
    not WEBUI.exists(), reason="not installed here: `make clients WITH=open-webui` does it and runs this"
)
async def test_open_webui_chats_by_both_protocols(site: Site, tmp_path: Path) -> None:
    await site.add_node(script=anything)
    ask: dict[str, Any] = {"model": "echo:latest", "messages": [{"role": "user", "content": "one two three"}]}
    async with open_webui(site, tmp_path) as webui:
        async with webui.get("/api/models") as response:
            assert "echo:latest" in [model["id"] for model in (await response.json())["data"]]
        async with webui.post("/api/chat/completions", json={**ask, "stream": False}) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == "one two three"
        async with webui.post("/api/chat/completions", json={**ask, "stream": True}) as response:
            assert "data: [DONE]" in await response.text()
        connection = {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": [site.url]}
        keys = {"OLLAMA_API_CONFIGS": {"0": {"enable": True, "key": site.key}}}
        async with webui.post("/ollama/config/update", json=connection | keys) as response:
            assert response.status == 200
        async with webui.get("/ollama/api/tags") as response:
            assert [model["name"] for model in (await response.json())["models"]] == ["echo:latest"]
        async with webui.post("/ollama/api/chat", json={**ask, "stream": False}) as response:
            assert (await response.json())["message"]["content"] == "one two three"


async def _is_up(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/health") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _output(process: asyncio.subprocess.Process) -> str:
    try:
        async with asyncio.timeout(100):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return output.decode()
