"""The fenced blocks of the documents: which are run, which another test runs, and which cannot be run in a test, and why."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; ``name`` is its file and first line, which no other block has."""

    name: str
    language: str
    text: str


RUN = (
    "docs/webhooks.md: curl -H",
    "docs/registry.md: curl http://127.0.0.1:8000/api/v1/mirrors",
    "docs/models.md: import ollama  # OLLAMA_HOST, OLLAMA_API_KEY",
    "docs/models.md: .venv/bin/ollamamax models add my.gguf --name mine",
    "docs/running.md: .venv/bin/ollamamax --help",
    "docs/nodes.md: ollamamax node token",
    "docs/profiles.md: curl -X PATCH $URL/api/v1/models/$ID",
    "docs/profiles.md: curl -X POST $URL/api/v1/aliases",
    "docs/profiles.md: {",
    "docs/responses.md: curl -X PATCH http://127.0.0.1:8000/api/v1/tenant",
    "docs/tenants.md: ollamamax tenant nodes acme allow",
    "docs/tenants.md: curl -X PATCH $URL/api/v1/keys/$ID",
    "docs/tenants.md: ollamamax nodes list",
    "docs/batches.md: {",
    "docs/batches.md: import time",
)
"""Beginnings of the names of the blocks that `test_make_up` runs, in this order, against one installation."""

ELSEWHERE = {
    "README.md: make up DETACH=1": "tests/flow/test_make_up.py: every test starts so",
    "README.md: export OLLAMA_API_KEY": "tests/flow/test_make_up.py: the first requests",
    "README.md: OPENAI_BASE_URL": "tests/flow/test_make_up.py: the first requests",
    "README.md: OLLAMA_HOST": "tests/flow/test_make_up.py: the first requests",
    "docs/connect.md: ": "tests/flow/test_make_up.py: every program of the page, with its own exceptions",
    "docs/running.md: make up            # in the foreground": "tests/flow/test_make_up.py: each line, in tests that stop and start",
    "docs/nodes.md: curl -X PATCH $URL/api/v1/nodes/$NODE": "tests/cluster/test_api_node_changes.py, and test_api_models.py in tests/registry: both calls",
    'docs/nodes.md: pip install "ollamamax[node]"': "tests/flow/test_make_up.py: a node installed alone, from a wheel of this clone",
    "docs/metrics.md: scrape_configs:": "tests/flow/test_make_up.py: Prometheus scrapes by it",
    "docs/access-tokens.md: curl $URL/oauth/token": "tests/oauth/test_tokens.py and test_workloads.py: by a secret, and by an issuer's token",
    "docs/access-tokens.md: curl -X POST $URL/api/v1/workloads": "tests/oauth/test_workloads.py: the call with each of its fields",
    "docs/openid-provider.md: curl -X POST $URL/api/v1/applications": "tests/oauth/test_provider.py: the call with each of its fields",
    "docs/openid-provider.md: OPENID_PROVIDER_URL=": "tests/oauth/test_real_client.py: Authlib's client, registered as Open WebUI does",
    "docs/budgets.md: curl -X POST $URL/api/v1/budgets": "tests/metering/test_api_budgets.py: the call with each of its fields",
    "docs/bundles.md: ollamamax bundle export": "tests/remote/test_models.py: each of these commands",
    "docs/ci.md: set -eu": "tests/remote/test_models.py: the whole script, on a real node",
    "docs/ci.md: FROM ./assistant.gguf": "tests/remote/test_models.py: the model that the script pushes",
    "docs/ci.md: {": "tests/registry/test_api_rollouts.py: the call with each of its fields",
    "docs/evaluations.md: {": "tests/evaluations/test_checks.py: it is a suite that can be run",
    'docs/rollouts.md: {"version"': "tests/registry/test_api_rollouts.py: the call with each of its fields",
    'docs/rollouts.md: {"kind"': "tests/registry/test_rollout_switch.py: the call with each of its fields",
    'docs/rollouts.md: {"steps"': "tests/registry/test_rollout_shadow.py: the call with each of its fields",
    'docs/rollouts.md: {"evaluation"': "tests/registry/test_rollout_gate.py: a rollout is begun with it",
    "docs/backup.md: ollamamax backup --new-key": "tests/flow/test_make_up.py: a backup begins another installation",
    "docs/chaos.md: ollamamax-node run --allow-fault": "tests/worker/test_experiment_faults.py: nodes with that option",
    "docs/chaos.md: curl $URL/api/v1/experiments": "tests/experiments/test_experiment_api.py: both calls",
    "docs/running.md: ollamamax doctor": "tests/doctor/test_doctor.py",
    "docs/failures.md: make up NODES=3": "tests/flow/test_survive.py",
    "docs/failures.md: import json, os, signal": "tests/flow/test_survive.py",
    "docs/failures.md: .venv/bin/python survive.py": "tests/flow/test_survive.py",
    "docs/failures.md: import json, os, subprocess": "tests/flow/test_survive.py",
    "docs/failures.md: .venv/bin/python frozen.py": "tests/flow/test_survive.py",
    "docs/failures.md: import json, os, urllib.request": "tests/flow/test_survive.py",
    "docs/failures.md: .venv/bin/python lying.py": "tests/flow/test_survive.py",
}

NOT_RUN = {
    "docs/registry.md: REGISTRY=": "tests/distribution/test_whole_path.py: skopeo does each of these",
    "docs/registry.md: KEY=omx_...": "it needs an Ollama's key; tests/distribution/test_whole_path.py makes one",
    "docs/registry.md: ollama pull": "it needs an Ollama; tests/distribution speaks as it does",
    "docs/replication.md: curl -X PUT": "it needs nodes with such labels; tests/registry/test_api_replication.py sets terms",
    "docs/replication.md: ollamamax-node run": "it needs other nodes at that name; tests/worker/test_swarm.py has several",
    "docs/ci.md: deploy:": "it needs GitLab; tests/remote/test_models.py runs what it runs",
    "docs/backup.md: # /etc/cron.d": "lines of cron",
    "docs/deployment.md: docker build": "it needs Docker",
    "docs/deployment.md: cd ops/compose": "it needs Docker; tests/deployment/test_compose.py runs the script",
    "docs/deployment.md: kubectl create": "it needs Kubernetes; tests/deployment/test_chart.py renders the chart",
    "docs/deployment.md: sudo useradd": "it needs root and systemd; tests/deployment/test_units.py reads the units",
    "docs/failures.md: mkdir -p /mnt/small": "it mounts a disk as root; tests/flow/test_full_disk.py does the same where it may",
    'docs/failures.md: REDIS_URL="redis+sentinel': "addresses, not commands; tests/bus/test_sentinels.py and tests/gateway/test_failover.py use such ones",
    "docs/nodes.md: export OLLAMAMAX_JOIN_TOKEN": "it needs an Ollama at its own port, and a name with a certificate",
    "docs/nodes.md: [Service]": "a unit of systemd",
    "docs/running.md: OLLAMAMAX_SECRET_KEY=": "settings of servers in production",
    "docs/running.md: location": "a part of nginx's configuration",
    "docs/openid-provider.md: [server]": "it needs a Grafana, which no registry of packages has",
    "docs/chaos.md: make chaos": "it takes 25 minutes; tests/benchmarks/test_chaos.py shows its parts, tests/experiments/test_frozen_engine.py one experiment whole",
    "docs/architecture.md: ": "a picture",
    "docs/tracing.md: ollamamax-gateway: ask": "a trace, as tests/gateway/test_tracing.py gets it",
    "docs/live.md: {": "messages of the live socket, which tests/dashboard/test_consumer.py sends",
    "docs/webhooks.md: {": "the body of an event, which tests/notifications/test_fan_out.py looks at",
    "docs/audit.md: curl -H": "needs a syslog server, which tests/notifications/test_audit_streams.py starts",
    "docs/tenants.md: ollamamax tenant operator": "there is one operator for good, and the first start named it",
}
"""Blocks that no test can run, with the reason; they are read as their language at least."""


def blocks() -> list[Block]:
    """Every fenced block of the documents, in order."""
    found = []
    files = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    for file in [*files, *sorted((ROOT / "docs").glob("*.md"))]:
        for indent, language, text in FENCE.findall(file.read_text()):
            plain = "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
            found.append(Block(f"{file.relative_to(ROOT)}: {plain.partition(chr(10))[0]}", language.strip(), plain))
    return found


def check(block: Block) -> None:
    """Raise when a block is not in its language, or in none that is known here."""
    match block.language:
        case "json":
            try:
                json.loads(block.text)
            except ValueError:
                for line in block.text.splitlines():  # each line is a request, where the block is no single object
                    json.loads(line)
        case "yaml":
            yaml.safe_load(block.text)
        case "toml":
            tomllib.loads(block.text)
        case "ini":
            configparser.ConfigParser().read_string(block.text)
        case "python":
            compile(block.text, block.name, "exec")
        case "sh":
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True, timeout=30)
        case "text":
            assert "\t" not in block.text, "a picture is drawn with blanks"
        case "nginx":
            assert block.text.count("{") == block.text.count("}")
        case _:
            raise AssertionError(f"{block.name} has no language that is known here: {block.language!r}")


FIGURES = {
    "http://127.0.0.1:8000": "$URL",
    "omx_...": "$KEY",
    "gpu-1": "node-1",
    "smollm2:360m": "smollm2:135m",
    "long-context": "support",
    ".venv/bin/ollamamax": "ollamamax",
}
"""What stands in the documents for what the reader has, and what it is here: of the environment, where it begins with `$`."""

FAR = re.compile(r"^ollama\.(?:pull|push)\(.*\n", re.MULTILINE)
"""Lines that ask registries elsewhere; tests/registry has one of its own to pull from and push to."""


def run(block: Block, folder: Path, environ: dict[str, str]) -> str:
    """What a block prints when it is run in ``folder``; raises when it fails, or an answer's status is no success.

    A JSON block is the body of a change to the model `$ID`, or, with `custom_id`s, the file that a batch reads.
    """
    if "skopeo" in block.text and shutil.which("skopeo") is None and "CI" not in os.environ:
        return ""  # Debian has it
    if "custom_id" in block.text:
        (folder / "requests.jsonl").write_text(block.text)
        return ""
    text = block.text
    if block.language == "json":
        text = f"curl -X PATCH $URL/api/v1/models/$ID -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' -d '{text}'"
    for figure, value in FIGURES.items():
        known = environ[value[1:]] if value.startswith("$") else value
        text = text.replace(figure, known)
    command = [sys.executable, "-c", FAR.sub("", text)]
    if block.language != "python":
        # A status of 400 or more fails the block, as a reader would see it fail.
        command = ["bash", "-ec", f'curl() {{ command curl -sS --fail-with-body "$@"; }}\n{text}']
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{block.name}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout
