"""One child process serving one model with llama.cpp: started, watched until it dies, stopped."""

from __future__ import annotations

import asyncio
import collections
import os
import secrets
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import aiohttp
import psutil

from cluster.engines import http
from cluster.engines.engine_log import LINES
from ollamamax.kernel.errors import EngineFailed

READY_SECONDS = 600.0
STOP_SECONDS = 5.0
Pooling = Literal["", "own", "mean", "last", "rank"]


@dataclass(frozen=True)
class Order:
    """What to serve and how. ``context`` is of each slot; ``gpu_layers`` are put on GPUs, llama.cpp decides for ``None``.

    ``embedding``: serve embeddings besides, pooled as the model says (``own``), by the mean for one that does not say
    (``mean``), or for one that was made to chat from the state after the last token (``last``). ``rank``: serve nothing
    but scores of documents, with a model that has a head for them.
    """

    model: str
    slots: int
    context: int
    threads: int
    embedding: Pooling = ""
    gpu_layers: int | None = None
    adapters: tuple[str, ...] = ()
    """LoRA files, applied whole."""
    chat_template: str = ""
    """Jinja, instead of the model's own."""
    cache_mib: int = 0
    """Memory for prompts that had to leave their slot; 0 keeps none."""


class LlamaProcess:
    """A running child. Its thread of birth must outlive it: the kernel ends it with the thread that started it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._own_at_ready = 0
        self.api_key = secrets.token_urlsafe(24)
        self.last_lines: collections.deque[str] = collections.deque(maxlen=20)
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "cluster.engines.llamacpp_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # A session of its own: Ctrl-C reaches the node, which lets its requests finish first.
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(_root()), os.environ.get("PYTHONPATH", "")])},
        )
        order_text = asdict(order) | {"port": port, "api_key": self.api_key, "parent": os.getpid()}
        self._send(order_text)
        threading.Thread(target=self._read, daemon=True, name="llamacpp-log").start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def memory(self) -> int | None:
        """Resident bytes, the mapped model included."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return None

    def cache_to_come(self) -> int:
        """Bytes by which its cache of prompts may still grow, as far as its memory tells."""
        most = self.order.cache_mib << 20
        return min(most, max(0, most - (self._own_memory() - self._own_at_ready)))

    def _own_memory(self) -> int:
        """Resident bytes without mapped files, which the weights are in."""
        try:
            memory = psutil.Process(self.pid).memory_info()
        except psutil.Error:
            return 0
        return int(memory.rss - getattr(memory, "shared", 0))

    async def ready(self, client: aiohttp.ClientSession) -> None:
        """Wait until the model is loaded. Raises `EngineFailed` with what the child said when it ends before."""
        pause = 0.02
        async with asyncio.timeout(READY_SECONDS):
            while True:
                if not self.alive:
                    raise EngineFailed(f"llama.cpp ended while it loaded the model: {self.reason()}")
                try:
                    async with client.get(f"{self.url}/health", timeout=http.QUICK) as response:
                        if response.status == 200:
                            self._own_at_ready = self._own_memory()
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass  # not listening yet
                await asyncio.sleep(pause)
                pause = min(0.2, pause * 1.2)

    async def died(self) -> int:
        """Wait for the child's end; its exit status."""
        while (status := self._child.poll()) is None:  # noqa: ASYNC110 - nothing tells an event loop in a thread
            await asyncio.sleep(0.1)
        return status

    def kill(self) -> None:
        """End a child that does not listen, a stopped one too."""
        self._child.kill()

    async def stop(self) -> None:
        """End the child; by force when it does not listen."""
        if self.alive:
            self._child.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.died()
        except TimeoutError:
            self._child.kill()
            await self.died()

    def reason(self) -> str:
        """The last error the child wrote, or its exit status."""
        told = [line for line in self.last_lines if "error" in line.lower() or " E " in line]
        return (told or [f"exit status {self._child.poll()}"])[-1][:300]

    def _send(self, order: dict[str, object]) -> None:
        import json

        pipe = self._child.stdin
        if pipe is None:
            raise EngineFailed("llama.cpp could not be started.")
        try:
            pipe.write(json.dumps(order).encode())
            pipe.close()
        except BrokenPipeError:
            pass  # it ended at once; `ready` says why

    def _read(self) -> None:
        pipe = self._child.stderr
        if pipe is not None:
            for line in pipe:
                text = line.decode(errors="replace").strip()
                self.last_lines.append(text)
                LINES.add(text)


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
