"""Models from the command line: pushed, gone on with where a push broke off, promoted, rolled out, taken back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connections

from models_registry.actions.promotion import set_approvals
from models_registry.actions.replica import reconcile_replicas
from models_registry.actions.rollout import run_rollouts
from models_registry.actions.version import publish_gguf
from ollamamax.contract import ModelState
from ollamamax.metering.actions import usage as metering
from ollamamax.remote.api import ApiAnswer, NoAnswer, RemoteApi
from ollamamax.remote.credentials import RemoteLogin
from ollamamax.remote.exits import CommandFailed, ExitStatus
from ollamamax.remote.send import send_file
from tests.cast import Key, Person
from tests.cluster.conftest import Join, join, says
from tests.management.conftest import Controller, write_gguf
from tests.metering.records import wire
from tests.remote.conftest import CommandLine, MakeCommandLine, Served, knows
from tests.worker.node import Node

__all__ = ["join"]
pytestmark = pytest.mark.django_db(transaction=True)


def unheard(done: int, total: int) -> None:
    """Of how far a file is."""


class _Failing(RemoteApi):
    """The connection breaks at the third chunk, and stays so."""

    chunks = 0

    def attempt(self, method: str, path: str, *, data: bytes, headers: dict[str, str]) -> ApiAnswer:
        self.chunks += 1
        if self.chunks > 2:
            raise NoAnswer("broken")
        return super().attempt(method, path, data=data, headers=headers)


def test_a_push_goes_on_where_it_broke_off(
    owners: CommandLine, served: Served, owner_key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    file = write_gguf(tmp_path / "model.gguf", size=1000)
    size = file.stat().st_size

    def send(api: RemoteApi) -> int:
        return send_file(api, "library/tiny", file, hashed=unheard, sent=unheard, chunk=1000).bytes

    login = RemoteLogin(served.url, owner_key.text)
    with _Failing(login, tries=1) as failing, pytest.raises(CommandFailed) as failed:
        send(failing)
    assert failed.value.exit_code == ExitStatus.UNREACHABLE
    with RemoteApi(login) as api:
        assert send(api) == size - 2000
        assert send(api) == 0
    assert list((tmp_path / "config/ollamamax/uploads").iterdir()) == []
    # A note of an upload that is no more is no obstacle.
    other = write_gguf(tmp_path / "other.gguf", size=2000)
    with _Failing(login, tries=1) as failing, pytest.raises(CommandFailed):
        send_file(failing, "library/tiny", other, hashed=unheard, sent=unheard, chunk=1000)
    [note] = (tmp_path / "config/ollamamax/uploads").iterdir()
    note.write_text('{"path": "/v2/library/tiny/blobs/uploads/00000000000000000000000000000000"}')
    with RemoteApi(login) as api:
        found = send_file(api, "library/tiny", other, hashed=unheard, sent=unheard, chunk=1000)
    assert found.bytes == other.stat().st_size


def test_what_is_no_model_is_refused_with_the_servers_words(
    owners: CommandLine, controller: Controller, tmp_path: Path
) -> None:
    file = tmp_path / "text.gguf"
    file.write_text("no model")
    result = owners.run("push", str(file), "tiny:1")
    assert result.exit_code == 1
    assert "GGUF" in result.stderr
    assert owners.failed("push", str(file), "@tiny")[0] == 2
    assert owners.run("push", str(tmp_path / "none.gguf"), "tiny").exit_code == 2


class Stage:
    """``tiny:stable`` of the owner at the first of two versions, both on a node that says so."""

    def __init__(self, owner: Person, first: str, second: str, node: str) -> None:
        self.owner, self.first, self.second, self.node = owner, first, second, node

    def answered(self, version: str, count: int, **changes: Any) -> None:
        given = {"model": "tiny:stable", "version": version, "node": self.node, "first_token_ms": 100.0, **changes}
        metering.insert([wire(self.owner.tenant, **given) for _ in range(count)])


@pytest.fixture
def stage(owner: Person, owners: CommandLine, gguf: Path, tmp_path: Path, join: Join, valkey: redis.Redis) -> Stage:
    first = publish_gguf(acting=owner.acting, file=gguf, name="tiny:stable")
    other = write_gguf(tmp_path / "other.gguf", size=16)
    second = publish_gguf(acting=owner.acting, file=other, name="tiny:candidate")
    joined = join(owner)
    says(valkey, joined, *[ModelState(each.digest, "tiny", "ready", "llamacpp") for each in (first, second)])
    reconcile_replicas()
    return Stage(owner, first.digest, second.digest, joined.node.id.hex)


def test_a_rollout_that_is_taken_back_ends_with_a_status_of_its_own(stage: Stage, owners: CommandLine) -> None:
    assert owners.failed("rollout", "watch", "tiny:stable") == (1, "not_found")
    steps = ("--step", "50%:0:1000", "--step", "1")
    made = owners.done("rollout", "start", "tiny:stable", stage.second[:19], *steps, "--reason", "build 7")
    assert (made["to_version"], made["reason"], made["steps"][0]["share"]) == (stage.second, "build 7", 0.5)
    assert owners.failed("rollout", "start", "tiny:stable", stage.second) == (1, "conflict")
    run_rollouts()
    assert owners.failed("rollout", "watch", made["id"], "--timeout", "0")[0] == 5
    assert owners.done("rollout", "pause", "tiny:stable")["state"] == "paused"
    assert owners.done("rollout", "resume", "tiny:stable")["state"] == "running"
    assert [each["id"] for each in owners.done("status", "tiny")["rollouts"]] == [made["id"]]
    stage.answered(stage.first, 300)
    stage.answered(stage.second, 100, outcome="failed", status=502)
    run_rollouts()
    assert owners.failed("rollout", "watch", "tiny:stable") == (3, "gate_failures")
    assert "failures" in owners.run("rollout", "status", "tiny:stable").stdout


def test_a_rollout_is_taken_to_its_end_and_back_by_hand(stage: Stage, owners: CommandLine) -> None:
    owners.done("rollout", "start", "tiny:stable", stage.second)
    run_rollouts()
    assert owners.done("rollout", "promote", "tiny:stable")["step"] == 1
    assert owners.done("rollout", "promote", "tiny:stable", "--full")["state"] == "done"
    assert owners.done("rollout", "watch", "tiny:stable")["state"] == "done"
    assert owners.done("rollback", "tiny:stable")["version"] == stage.first
    owners.done("rollout", "start", "tiny:stable", stage.second)
    run_rollouts()
    assert owners.done("rollback", "tiny:stable")["version"] == stage.first
    assert owners.failed("rollout", "watch", "tiny:stable") == (3, "rolled_back")
    assert owners.failed("rollout", "pause", "tiny:stable")[0] == 1


def test_a_promotion_goes_through_the_stages_and_stops_where_others_must_approve(
    stage: Stage, owners: CommandLine
) -> None:
    done = owners.done("promote", f"tiny@{stage.second}", "--channel", "blessed")
    assert (done["stage"], sorted(done["channels"])) == ("production", ["blessed", "candidate"])
    assert owners.done("promote", f"tiny@{stage.second}", "--channel", "stable")["channels"][-1] == "stable"
    set_approvals(acting=stage.owner.acting, approvals=1)
    assert owners.failed("promote", f"tiny@{stage.first}") == (6, "needs_approval")
    stages = {row["version"]: row["stage"] for row in owners.done("versions", "tiny")}
    assert stages == {stage.first: "staged", stage.second: "production"}
    assert owners.failed("promote", "tiny@sha256:0000000000")[0] == 1


@pytest.fixture
def rollouts_run(controller: Controller) -> Iterator[None]:
    """The loop that looks at rollouts, besides the controller's others."""
    end = threading.Event()

    def loop() -> None:
        try:
            while not end.wait(0.1):
                run_rollouts()
        finally:
            connections.close_all()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    yield
    end.set()
    thread.join(20)


def example() -> dict[str, str]:
    """The blocks of the document's example by their language."""
    text = (settings.BASE_DIR / "docs" / "ci.md").read_text().partition("## A pipeline")[2]
    return dict(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL))


def test_the_documented_pipeline_brings_a_model_into_production(
    owners: CommandLine, owner: Person, gguf: Path, node: Node, rollouts_run: None, tmp_path: Path
) -> None:
    """As it stands there, on a real node; but for the plan, whose steps wait for traffic of hours."""
    owners.done("push", str(gguf), "assistant:stable")
    folder = tmp_path / "pipeline"
    folder.mkdir()
    blocks = example()
    (folder / "deploy.sh").write_text(blocks["sh"])
    (folder / "Modelfile").write_text(blocks["text"])
    (folder / "rollout.json").write_text(
        '{"steps": [{"share": 0.5, "seconds": 0, "requests": 0}, {"share": 1, "seconds": 0, "requests": 0}]}'
    )
    write_gguf(folder / "assistant.gguf", size=32)
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        **{name: value for name, value in owners.env.items() if value},
    }
    done = subprocess.run(["sh", "deploy.sh"], cwd=folder, env=environ, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    [newest, _] = owners.done("versions", "assistant")
    assert (newest["stage"], sorted(newest["channels"])) == ("production", ["candidate", "stable"])
    assert newest["version"] in done.stdout
    assert [each["state"] for each in newest["replicas"]] == ["ready"]
    [row] = owners.done("nodes")
    lines = owners.done("logs", row["name"], "-n", "5")["lines"]
    assert 0 < len(lines) <= 5


def test_models_go_out_and_in_as_one_file(
    owners: CommandLine,
    owner: Person,
    stranger_key: Key,
    served: Served,
    command_line: MakeCommandLine,
    controller: Controller,
    gguf: Path,
    tmp_path: Path,
) -> None:
    """Of one tenant into another, which has the installation's own trust."""
    version = publish_gguf(acting=owner.acting, file=gguf, name="tiny:1b", aliases=("stable",))
    knows(lambda: served.ollama(stranger_key).list())
    strangers, file = command_line(served.url, stranger_key.text), tmp_path / "models.bundle.tar"
    told = owners.done("bundle", "export", str(file), "tiny")
    assert (told["models"], told["size"]) == (["tiny:1b", "tiny:stable"], file.stat().st_size)
    assert strangers.failed("bundle", "export", str(tmp_path / "none"), "tiny") == (1, "model_not_found")
    taken = strangers.done("bundle", "import", str(file))
    assert (taken["sent_bytes"], taken["channels"]) == (file.stat().st_size, ["tiny:1b", "tiny:stable"])
    [row] = strangers.done("versions", "tiny")
    assert (row["version"], row["origin"], sorted(row["channels"])) == (version.digest, "bundle", ["1b", "stable"])
    file.write_bytes(file.read_bytes()[:-1024])
    assert strangers.failed("bundle", "import", str(file)) == (1, "bundle_invalid")
    trusted = strangers.done("bundle", "signers", "--trust", f"office={'ab' * 32}")["signers"]
    assert trusted == [{"name": "office", "key": "ab" * 32}]
    assert strangers.done("bundle", "signers", "--distrust", "office")["signers"] == []
