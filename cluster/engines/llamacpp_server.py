"""The child process of the llama.cpp engine: one model served on a loopback port, ended with its parent.

Run as ``python -m cluster.engines.llamacpp_server``, with one JSON object on standard input: the fields of
`llamacpp_process.Order`, ``port``, ``api_key`` and ``parent`` (a process id). It imports nothing of OllamaMax.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from typing import Any

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, also when that was by SIGKILL (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the call above.
    if os.getppid() != parent:
        sys.exit("the parent has ended")


def serve(order: dict[str, Any]) -> None:
    """Load the model and serve until a signal ends the process."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model"]
    params.model_alias = {"model"}
    params.hostnames = ["127.0.0.1"]
    params.port = order["port"]
    params.api_keys = [order["api_key"]]
    params.n_parallel = order["slots"]
    # llama.cpp divides the context between its slots.
    params.n_ctx = order["context"] * order["slots"]
    params.kv_unified = False
    params.cache_ram_mib = order["cache_mib"]
    if order["gpu_layers"] is not None:
        params.n_gpu_layers = order["gpu_layers"]
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = order["threads"]
        cpu.poll = 0  # waiting threads sleep instead of spinning: the cores are shared
    params.n_threads_http = order["slots"] + 4
    if order["embedding"]:
        params.embedding = True
        pooling = xllamacpp.llama_pooling_type
        if order["embedding"] == "last":
            params.pooling_type = pooling.LLAMA_POOLING_TYPE_LAST
        else:
            # A text to embed must fit into one batch.
            params.n_batch = params.n_ubatch = order["context"]
        if order["embedding"] == "rank":
            params.pooling_type = pooling.LLAMA_POOLING_TYPE_RANK
        if order["embedding"] == "mean":
            params.pooling_type = pooling.LLAMA_POOLING_TYPE_MEAN
    if order["adapters"]:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 1.0) for path in order["adapters"]]
    if order["chat_template"]:
        params.chat_template = order["chat_template"]
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.use_jinja = True
    params.ui = False
    params.warmup = False
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = xllamacpp.Server(params)
    while not stop.wait(0.2):
        pass
    del server


def main() -> None:
    order = json.loads(sys.stdin.buffer.read())
    end_with_parent(order["parent"])
    serve(order)


if __name__ == "__main__":
    main()
