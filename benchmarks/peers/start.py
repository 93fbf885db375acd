"""Starts each peer on loopback in front of the stub engine, as its own documents say, with one process where it has a choice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks.client import Job
from benchmarks.load import Load
from benchmarks.peers import install
from benchmarks.product import MODEL, ROOT, free_port
from benchmarks.ways import Way

READY_SECONDS = 90
KEY = "sk-benchmark"
BARE = "bare ASGI proxy"
PORTKEY_FIRST = """
// The gateway listens on every address; this keeps it on loopback.
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  if (typeof port === "number") return listen.call(this, port, "127.0.0.1", ...rest.filter((each) => typeof each === "function"));
  if (port && typeof port === "object" && "port" in port) port.host = "127.0.0.1";
  return listen.call(this, port, ...rest);
};
// It adds to the headers of what the engine answered, which Node.js 20 refuses for streams ("TypeError: immutable").
const Answer = globalThis.Response;
const ask = globalThis.fetch;
globalThis.fetch = async (...given) => {
  const { body, status, statusText, headers } = await ask(...given);
  return new Answer(body, { status, statusText, headers: new Headers(headers) });
};
"""
UNANNOUNCED = """
# The router announces itself to the local network by multicast; here it stays silent.
import sys
from fleet_manager.common import discovery
async def nothing(self): pass
discovery.FleetServiceAdvertiser.start = discovery.FleetServiceAdvertiser.stop = nothing
from fleet_manager.cli.server_cli import main
sys.argv[0] = "herd"
main()
"""


class Starter:
    """``folder`` takes configurations and logs; what it started ends with ``stack``."""

    def __init__(self, engine_url: str, folder: Path, stack: ExitStack, load: Load) -> None:
        self.engine_url = engine_url
        self.folder = folder
        self._stack = stack
        self._load = load

    def begin(self, name: str) -> Way:
        """Install and start it; one that cannot be says why."""
        try:
            return PEERS[name](self)
        except (install.NotInstalled, OSError) as error:
            return Way(name, problem=str(error))

    def wait(self, way: Way) -> Way:
        """Until it gives a good answer, or is known not to."""
        end = time.monotonic() + READY_SECONDS
        while not way.problem:
            job = Job(way.url, MODEL, way.key or "none", 1, 1, 2, patience=10.0, headers=way.headers)
            answer = self._load.do(job)
            if answer.duration:
                break
            log = (self.folder / f"{way.name}.log").read_text(errors="replace").strip().splitlines()
            if any(not each.is_running() for tops in way.processes.values() for each in tops):
                way.problem = f"ended: {log[-1] if log else ''}"
            elif time.monotonic() > end:
                way.problem = f"not ready after {READY_SECONDS} s: {answer.complaint[:200]}"
            else:
                time.sleep(0.5)
        return way

    def run(self, name: str, *command: str, environ: Mapping[str, str] | None = None) -> psutil.Process:
        with (self.folder / f"{name}.log").open("ab") as log:
            kept = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "NO_PROXY": "*"}
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=kept | dict(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._stack.callback(_end, process)
        return psutil.Process(process.pid)

    def write(self, name: str, text: str) -> str:
        file = self.folder / name
        file.write_text(text)
        return str(file)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and its children."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for each in below:
        if each.is_running():
            each.kill()


def bare(starter: Starter) -> Way:
    port = free_port()
    process = starter.run(
        BARE, sys.executable, "-m", "uvicorn", "benchmarks.peers.bare:app", "--app-dir", str(ROOT), "--port", str(port),
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
        environ={"ENGINE": starter.engine_url},
    )  # fmt: skip
    return Way(BARE, f"http://127.0.0.1:{port}", processes={"proxy": [process]})


def nginx(starter: Starter) -> Way:
    root, port = install.debian("nginx", "nginx", "nginx-common"), free_port()
    engine = starter.engine_url.removeprefix("http://")
    (starter.folder / "nginx").mkdir()
    temporary = "".join(
        f"  {kind}_temp_path {starter.folder}/nginx/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = starter.write(
        "nginx.conf",
        f"daemon off; worker_processes auto; pid {starter.folder}/nginx/pid; error_log stderr;\n"
        "events { worker_connections 4096; }\n"
        f"http {{\n  access_log off; keepalive_requests 1000000;\n{temporary}"
        f"  upstream engine {{ server {engine}; keepalive 128; keepalive_requests 1000000; }}\n"
        f"  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://engine; proxy_http_version 1.1;\n"
        '    proxy_set_header Connection ""; proxy_buffering off; } }\n}\n',
    )
    process = starter.run("nginx", str(root / "usr" / "sbin" / "nginx"), "-p", str(starter.folder), "-c", configuration)
    return Way("nginx", f"http://127.0.0.1:{port}", processes={"nginx": [process]})


def portkey(starter: Starter) -> Way:
    modules, port = install.node("portkey", install.PORTKEY), free_port()
    hook = starter.write("first.cjs", PORTKEY_FIRST)
    program = modules / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    process = starter.run(
        "portkey", "node", "--require", hook, str(program), f"--port={port}", "--headless",
        environ={"NODE_ENV": "production"},
    )  # fmt: skip
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{starter.engine_url}/v1"}
    return Way("portkey", f"http://127.0.0.1:{port}", "none", headers, {"node": [process]})


def litellm(starter: Starter) -> Way:
    programs, port = install.python("litellm", install.LITELLM), free_port()
    configuration = starter.write(
        "litellm.yaml",
        f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n"
        f"      api_base: {starter.engine_url}/v1\n      api_key: none\n"
        f"general_settings:\n  master_key: {KEY}\nlitellm_settings:\n  telemetry: false\n  num_retries: 0\n",
    )
    process = starter.run(
        "litellm", str(programs / "litellm"), "--config", configuration, "--host", "127.0.0.1", "--port", str(port),
        environ={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"},
    )  # fmt: skip
    return Way("litellm", f"http://127.0.0.1:{port}", KEY, processes={"proxy": [process]})


def herd(starter: Starter) -> Way:
    programs, port = install.python("ollama-herd", install.HERD), free_port()
    data = starter.folder / "herd"
    environ = {
        "FLEET_DATA_DIR": str(data),
        "FLEET_NODE_DATA_DIR": str(data),
        "FLEET_AUTO_PULL": "false",
        "FLEET_HOST": "127.0.0.1",
    }
    launcher = starter.write("herd.py", UNANNOUNCED)
    router = starter.run(
        "ollama-herd", str(programs / "python"), launcher, "--host", "127.0.0.1", "--port", str(port),
        "--log-level", "WARNING", environ=environ,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    node = starter.run(
        "ollama-herd", str(programs / "herd-node"), "--node-id", "bench", "--ollama-host", starter.engine_url,
        "--router-url", url, environ=environ,
    )  # fmt: skip
    return Way("ollama-herd", url, processes={"router": [router], "node": [node]})


def smg(starter: Starter) -> Way:
    programs, port = install.python("smg", install.SMG), free_port()
    process = starter.run(
        "smg", str(programs / "smg"), "launch", "--host", "127.0.0.1", "--port", str(port), "--worker-urls", starter.engine_url,
        "--policy", "round_robin", "--api-key", KEY, "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port()),
        "--log-level", "error",
    )  # fmt: skip
    return Way("smg", f"http://127.0.0.1:{port}", KEY, processes={"router": [process]})


def vllm_router(starter: Starter) -> Way:
    programs, port = install.python("vllm-router", install.VLLM_ROUTER), free_port()
    process = starter.run(
        "vllm-router", str(programs / "vllm-router"), "--host", "127.0.0.1", "--port", str(port),
        "--worker-urls", starter.engine_url, "--policy", "round_robin", "--prometheus-host", "127.0.0.1",
        "--prometheus-port", str(free_port()), "--log-level", "error",
    )  # fmt: skip
    return Way("vllm-router", f"http://127.0.0.1:{port}", processes={"router": [process]})


PEERS: dict[str, Callable[[Starter], Way]] = {
    BARE: bare,
    "nginx": nginx,
    "portkey": portkey,
    "ollama-herd": herd,
    "litellm": litellm,
    "smg": smg,
    "vllm-router": vllm_router,
}
