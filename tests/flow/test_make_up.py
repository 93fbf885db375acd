"""The whole product as a person meets it: `make up` in a fresh copy, the official clients, stop, start, kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ollama
import openai
import psutil
import pytest

from models_registry.bundled import bundled_model
from ollamamax.embedded import supervise
from ollamamax.embedded.home import Home
from ollamamax.observability.table import BY_NAME
from tests.flow import documents, prometheus
from tests.flow.node_alone import IMPORT_EVERYTHING, NodeAlone
from tests.observability import expressions
from tests.patience import LONG, wait_for
from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = "smollm2:135m"
QUESTION: Any = [{"role": "user", "content": "Say hello."}]

pytestmark = [pytest.mark.flow, pytest.mark.timeout(900)]


@dataclass
class Copy:
    """A copy of the repository in a folder with a space in its name, on the environment of these tests."""

    folder: Path
    port: int
    home_name: str = ".ollamamax"

    @property
    def home(self) -> Home:
        return Home(self.folder / self.home_name)

    @property
    def environ(self) -> dict[str, str]:
        # COVERAGE_: the lines of a copy count for nothing, and to trace them takes a third of the time.
        ours = ("OLLAMAMAX_", "OMX_", "DJANGO_", "PYTEST_", "COVERAGE_", "COV_", "MAKE")
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(ours) and k not in {"DATABASE_URL", "REDIS_URL"}
        }
        watched = {"OLLAMAMAX_METRICS_ADDRESS": "127.0.0.1:0"}
        return {**kept, **watched, "OLLAMAMAX_VENV": sys.prefix, "PORT": str(self.port), "PYTHON": sys.executable}

    def make(self, *arguments: str, seconds: float = 400) -> str:
        done = subprocess.run(
            ["make", *arguments], cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=seconds
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def bootstrap(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.home.bootstrap_file.read_text())
        return found

    def get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json.dumps(body).encode())

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask("PATCH", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        facts = self.bootstrap()
        headers = {"Authorization": f"Bearer {facts['api_key']}", "Content-Type": "application/json"}
        request = urllib.request.Request(facts["url"] + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def usage_records(self) -> list[str]:
        return [record["request"] for record in self.get("/api/v1/usage")["results"]]

    def processes(self) -> list[psutil.Process]:
        return supervise.marked(self.home.instance())


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    folder = tmp_path_factory.mktemp("flow") / "a copy"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    if (ROOT / "staticfiles").is_dir():
        shutil.copytree(ROOT / "staticfiles", folder / "staticfiles")
    made = Copy(folder, free_port())
    yield made
    made.make("reset", "YES=1")


@pytest.fixture
def running(copy: Copy) -> Copy:
    copy.make("up", "DETACH=1")
    return copy


def test_the_first_start_tells_how_to_use_it(copy: Copy) -> None:
    said = copy.make("up", "DETACH=1")
    facts = copy.bootstrap()
    assert facts["url"] == f"http://127.0.0.1:{copy.port}"
    assert facts["admin_password"] in said
    assert facts["api_key"] not in said
    assert copy.home.bootstrap_file.stat().st_mode & 0o777 == 0o600
    (line,) = [line.split("Try", 1)[1] for line in said.splitlines() if " Try " in line]
    answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=300).stdout
    assert "Paris" in json.loads(answer)["choices"][0]["message"]["content"]
    assert "already runs" in copy.make("up", "DETACH=1")


def test_the_openai_client_is_answered(running: Copy) -> None:
    facts = running.bootstrap()
    client = openai.OpenAI(base_url=f"{facts['url']}/v1", api_key=facts["api_key"], max_retries=0)
    assert MODEL in [model.id for model in client.models.list()]
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=12)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 12
    stream = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=12, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_the_ollama_client_is_answered(running: Copy) -> None:
    facts = running.bootstrap()
    client = ollama.Client(host=facts["url"], headers={"Authorization": f"Bearer {facts['api_key']}"})
    assert MODEL in [model.model for model in client.list().models]
    answer = client.chat(MODEL, messages=QUESTION, options={"num_predict": 12})
    assert answer.message.content
    assert 0 < (answer.eval_count or 0) <= 12
    assert len(list(client.generate(MODEL, prompt="Once", stream=True, options={"num_predict": 12}))) > 1


def test_the_first_requests_of_the_readme_work_as_they_stand(running: Copy) -> None:
    readme = (running.folder / "README.md").read_text()
    section = readme.split("## First requests")[1].split("\n## ")[0]
    blocks = [block.split("```")[0] for block in section.split("```sh\n")[1:]]
    assert len(blocks) == 3
    script = "\necho; echo NEXT\n".join(blocks).replace("http://127.0.0.1:8000", running.bootstrap()["url"])
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"  # its python3 has the clients
    environ = {**running.environ, "PATH": path}
    done = subprocess.run(
        ["bash", "-ec", script], cwd=running.folder, env=environ, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    curl, with_openai, with_ollama = done.stdout.split("NEXT")
    assert "Paris" in json.loads(curl)["choices"][0]["message"]["content"]
    assert "Paris" in with_openai
    assert "Paris" in with_ollama


def test_the_first_answers_are_right_through_every_api(running: Copy) -> None:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    for sampling in ({}, {"temperature": 0}):
        ollamas = running.post("/api/chat", asked | {"stream": False, "options": sampling | {"num_predict": 40}})
        assert "Paris" in ollamas["message"]["content"]
        openais = running.post("/v1/chat/completions", asked | sampling | {"max_tokens": 40})
        assert "Paris" in openais["choices"][0]["message"]["content"]
        anthropics = running.post("/v1/messages", asked | sampling | {"max_tokens": 40})
        assert "Paris" in anthropics["content"][0]["text"]


NOT_RUN = {
    "Open WebUI": "a server with a gigabyte of packages",
    "Claude Code": "it needs a model that can use tools",
    "Codex": "it needs a model that can use tools",
    "aider": "it needs a model that can edit files",
}
"""Programs whose blocks in docs/connect.md are not run here, with the reason."""
CLIENTS = ROOT / "build" / "clients" / "bin" / "python"
"""The environment of `make clients`; in it are the programs whose packages ours need not agree with."""


def test_every_program_of_the_page_that_can_be_installed_is_answered(running: Copy) -> None:
    facts = running.bootstrap()
    _, *sections = (running.folder / "docs" / "connect.md").read_text().split("\n## ")
    assert len(sections) == 10
    assert {section.split("\n")[0] for section in sections} >= NOT_RUN.keys()
    environ = {**running.environ, "OLLAMAMAX_API_KEY": facts["api_key"]}
    for section in sections:
        name, blocks = section.split("\n")[0], re.findall(r"```(sh|python)\n(.*?)```", section, re.DOTALL)
        if name in NOT_RUN:
            continue
        [(language, text)] = blocks
        python = sys.executable
        if language == "python" and not all(map(find_spec, re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))):
            if not CLIENTS.exists():
                continue  # `make clients` has them
            python = str(CLIENTS)
        command = ["bash", "-ec"] if language == "sh" else [python, "-c"]
        done = subprocess.run(
            [*command, text.replace("http://127.0.0.1:8000", facts["url"])],
            env=environ,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert "Paris" in done.stdout, name


def test_every_other_block_of_the_documents_works_as_it_stands(running: Copy) -> None:
    facts = running.bootstrap()
    model = bundled_model()
    assert model
    shutil.copy(model, running.folder / "my.gguf")
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    environ = {**running.environ, "PATH": path, "URL": facts["url"], "KEY": facts["api_key"]}
    environ |= {"OLLAMA_HOST": facts["url"], "OLLAMA_API_KEY": facts["api_key"], "OPENAI_API_KEY": facts["api_key"]}
    made = ["ollamamax", "tenant", "create", "acme"]
    subprocess.run(made, cwd=running.folder, env=environ, check=True, capture_output=True, timeout=240)

    def identifier(of: str) -> str:
        wanted = {"models": ("name", "mine:latest"), "keys": ("name", "bootstrap"), "tenants": ("slug", "acme")}
        field, value = wanted.get(of, wanted["models"])
        return next((each["id"] for each in running.get(f"/api/v1/{of}")["results"] if each[field] == value), "")

    said = {}
    for name in documents.RUN:
        for block in documents.blocks():
            if block.name.startswith(name):
                found = re.search(r"/api/v1/(\w+)/\$ID", block.text)
                environ["ID"] = identifier(found[1] if found else "models")
                said[name] = documents.run(block, running.folder, environ)
    assert "mine:latest" in said["docs/models.md: .venv/bin/ollamamax models add my.gguf --name mine"]
    assert said["docs/nodes.md: ollamamax node token"].startswith("omxj_")
    assert "node-1" in said["docs/tenants.md: ollamamax nodes list"]
    assert json.loads(said["docs/batches.md: import time"].strip().splitlines()[-1])["custom_id"] == "a"


NOT_HERE = ("ollamamax_gpu_", "ollamamax_engine_cache_ratio", "ollamamax_tenant_queue_length", "ALERTS")
"""Metrics that this machine has no series of: it has no GPU, its engine does not tell, nobody waits, nothing is wrong. Those of the fleet
`tests/observability/test_bounds.py` writes and reads."""


def test_prometheus_scrapes_every_process(running: Copy, tmp_path: Path) -> None:
    asked = {"model": MODEL, "messages": QUESTION, "max_tokens": 12}
    with prometheus.scraping(tmp_path, running.folder / ".ollamamax", expressions.RULES) as found:
        running.post("/v1/chat/completions", asked)
        test_the_openai_client_is_answered(running)  # a stream has times to tokens
        every = {"web", "controller", "batches", "node"}
        wait_for(lambda: {name for name, health in found.targets().items() if health == "up"} == every)
        wait_for(lambda: bool(found.ask(f'ollamamax_tokens_total{{model="{MODEL}",kind="completion"}} > 0')))
        [node] = found.ask("ollamamax_node_up * on(node) group_left(name) ollamamax_node_info")
        assert (node["metric"]["name"], node["value"][1]) == ("node-1", "1")
        told = {each["metric"]["process"] for each in found.ask("ollamamax_build_info")}
        assert told == every
        # Each process gives what the table says, and nothing that it does not.
        given = {(each["metric"]["__name__"], each["metric"]["process"]) for each in found.ask('{job="ollamamax"}')}
        for name, process in given:
            metric = BY_NAME.get(re.sub(r"_(bucket|count|sum)$", "", name)) or BY_NAME.get(name)
            if name.startswith("ollamamax_"):
                assert metric is not None, name
                assert process in metric.given_by, (name, process)
        # Every metric and label of alerts and dashboards is there, and every query is answered.
        for name in expressions.recorded():
            wait_for(partial(found.ask, name), LONG, name)
        for each in expressions.expressions():
            found.ask(each.text)
            for name, labels in each.selectors.items():
                if not name.startswith(NOT_HERE):
                    series = wait_for(partial(found.ask, name), LONG, f"{each.where}: {name}")
                    assert labels <= set().union(*(one["metric"] for one in series)), f"{each.where}: {name}"


def test_a_node_installed_alone_joins_and_answers(running: Copy, tmp_path: Path) -> None:
    node = NodeAlone(tmp_path, running.folder)
    for_servers = {"django", "psycopg", "channels", "uvicorn", "daphne", "starlette", "cryptography", "supervisor"}
    assert not node.packages() & for_servers
    assert len(node.packages()) <= 40
    node.say("python", "-c", IMPORT_EVERYTHING)
    assert "join" in node.say("ollamamax-node", "--help")
    facts, token = running.bootstrap(), running.post("/api/v1/nodes/tokens", {})["token"]
    joining = ["join", facts["url"], "--home", str(node.home), "--engine", "llamacpp", "--name", "alone"]
    node.say("ollamamax-node", *joining, "--token", token)

    def said_of(name: str) -> dict[str, Any]:
        [found] = [each for each in running.get("/api/v1/nodes")["results"] if each["name"] == name]
        return dict(found)

    def has_the_model() -> bool:
        models = (said_of("alone")["telemetry"] or {"models": []})["models"]
        return any(model["name"] == MODEL and model["state"] == "ready" for model in models)

    other = f"/api/v1/nodes/{said_of('node-1')['id']}"
    with node.running():
        wait_for(has_the_model)
        running.patch(other, {"schedulable": False})
        asked = {"model": MODEL, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
        answer = running.post("/v1/chat/completions", asked | {"max_tokens": 40})
        running.patch(other, {"schedulable": True})
    assert "Paris" in answer["choices"][0]["message"]["content"]


@pytest.mark.timeout(900)
def test_a_backup_taken_while_it_runs_begins_another_installation_that_answers(running: Copy, tmp_path: Path) -> None:
    test_the_openai_client_is_answered(running)
    wait_for(lambda: len(running.usage_records()) >= 1)
    records = set(running.usage_records())
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    here: Any = {"cwd": running.folder, "env": {**running.environ, "PATH": path}, "check": True, "capture_output": True}

    def say(*arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(subprocess.run(["ollamamax", *arguments], **here, timeout=600).stdout)
        return found

    key, file = tmp_path / "key", tmp_path / "backup.tar.age"
    made = subprocess.run(["ollamamax", "backup", "--new-key", key], **here, text=True, timeout=240)
    taken = say("backup", str(file), "--json", "--recipient", made.stdout.strip())
    assert taken["missing"] == []
    told = say("drill", str(file), "--identity", str(key), "--json")
    assert (told["rows"], told["files"], told["audit_faults"]) == (taken["rows"], taken["files"], 0)
    assert 0 < told["recovery_point_seconds"] < told["recovery_seconds"] + 120
    other = Copy(running.folder, free_port(), ".restored")
    beside = [f"OLLAMAMAX_HOME={other.home.folder}", f"PORT={other.port}"]
    try:
        other.make("up", "DETACH=1", f"RESTORE={file}", f"IDENTITY={key}", *beside, seconds=400)
        assert other.bootstrap()["api_key"] == running.bootstrap()["api_key"]
        test_the_openai_client_is_answered(other)
        assert records <= set(other.usage_records())
    finally:
        other.make("reset", "YES=1", *beside)


def test_everything_is_there_after_a_stop_and_a_start(running: Copy) -> None:
    before = running.bootstrap()
    wait_for(lambda: len(running.usage_records()) >= 4)
    records = running.usage_records()
    assert running.make("down").endswith("Stopped.\n")
    assert running.processes() == []
    said = running.make("up", "DETACH=1")
    assert before["admin_password"] not in said
    assert running.bootstrap() == before
    assert set(records) <= set(running.usage_records())
    test_the_openai_client_is_answered(running)


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_goes_on(running: Copy) -> None:
    test_the_ollama_client_is_answered(running)  # a model is loaded: the engine's own processes run too
    pid = running.home.running()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: running.processes() == [])
    running.make("up", "DETACH=1")
    test_the_openai_client_is_answered(running)
    running.make("down")


def test_ctrl_c_in_the_foreground_ends_every_child_behind_a_proxy_too(copy: Copy) -> None:
    copy.make("down")
    proxied = {"OLLAMAMAX_TLS_PROXY": "1", "OLLAMAMAX_PUBLIC_URL": "https://ai.example"}
    with subprocess.Popen(
        ["make", "up"],
        cwd=copy.folder,
        env=copy.environ | proxied,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Stop" in line:
                break
        assert len(copy.processes()) >= 5
        os.killpg(process.pid, signal.SIGINT)
        assert "Stopped." in process.stdout.read()
        process.wait(30)
    assert copy.processes() == []
