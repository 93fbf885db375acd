"""No source file is more than one person can hold; those beyond what one looks at at once have a reason."""

from __future__ import annotations

import subprocess

import pytest

from tests.architecture.code import ROOT

MOST_LINES = 800
LOOK_AGAIN = 300
KINDS = (".py", ".lua", ".ts", ".tsx", ".js", ".mjs", ".css", ".sh", ".html", ".yml", ".toml")
GENERATED = ("frontend/src/api/schema.d.ts", "frontend/src/live/types.ts")
LONGER = {
    "benchmarks/__main__.py": "one list of what can be measured",
    "benchmarks/node_corpus.py": "one day of nodes, what breaks in it and what only looks like that",
    "benchmarks/prediction.py": "one measurement, from what is chosen to the report",
    "benchmarks/audit.py": "one measurement, from the first record to the report",
    "ollamamax/audit/migrations/0003_partitions.py": "one table that becomes another, there and back",
    "benchmarks/upgrade.py": "one upgrade, step by step, and what its clients were told",
    "ollamamax/bus/keys.py": "one list of every key in Redis, and of who may touch it",
    "dashboard/payloads.py": "one catalogue of what the live topics tell",
    "cluster/actions/experiment.py": "one life of an experiment and its runs",
    "cluster/dispatch/admission.py": "one life of a place in the queue",
    "cluster/dispatch/dispatcher.py": "what one gateway does with one request, in its order",
    "cluster/fleet/fleet.py": "one snapshot of all nodes, and how it is kept",
    "cluster/engines/template.py": "one rendering, and what bounds it",
    "models_registry/queries/placement.py": "one snapshot, and what it is read from",
    "models_registry/rollout/plan.py": "one decision, and what it is counted from",
    "models_registry/actions/rollout.py": "one rollout, from its start to its end",
    "cluster/placement/plan.py": "one plan, whose steps share what they counted",
    "cluster/worker/agent.py": "one agent, from its start to its end",
    "models_registry/replication/placement.py": "one plan, whose steps share what they counted",
    "models_registry/worker/library.py": "what one node has of models, from asked for to removed",
    "models_registry/actions/replica.py": "one replica, from wanted to removed",
    "ollamamax/identity/api/serializers.py": "the forms of one API's objects",
    "cluster/engines/json_grammar.py": "one compiler, whose rules call one another",
    "ollamamax/embedded/install.py": "runs before anything is installed, from one file",
    "ollamamax/env_table.py": "one table of settings",
    "ollamamax/gateway/app.py": "one table of routes, and what every request passes",
    "ollamamax/metering/queries.py": "one way to sum usage up, and what it is summed from",
    "ollamamax/bus/directory.py": "one copy of the directory, and how it is kept",
    "ollamamax/gateway/execution.py": "one request's way, in its order",
    "ollamamax/gateway/openai/response.py": "one object of OpenAI's, and how it grows",
    "ollamamax/sso/migrations/0001_single_sign_on.py": "the tables of one context, made at once",
    "benchmarks/simulation.py": "one simulated fleet",
    "models_registry/migrations/0008_releases.py": "one migration, as Django writes it",
    "cluster/engines/poster.py": "one request to an engine, from its connection to the last of its answer",
    "ollamamax/gateway/measuring.py": "all that is counted where a request ends",
    "frontend/src/ui/table/DataTable.module.css": "the looks of one table and its cards",
    "frontend/src/api/access.ts": "one client of the calls about rights, roles, teams and service accounts",
    "frontend/src/areas/models/Names.tsx": "the names of one model and what stands in for it, changed at the place",
}
"""Files of more than `LOOK_AGAIN` lines, and why they are whole. Of tests each file is one subject."""


def lengths() -> dict[str, int]:
    """The lines of every source file that git knows, or would take."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {
        name: (ROOT / name).read_bytes().count(b"\n")
        for name in names
        if name.endswith(KINDS) and name not in GENERATED and (ROOT / name).is_file()
    }


@pytest.fixture(scope="module")
def sizes() -> dict[str, int]:
    found = lengths()
    assert len(found) > 500
    return found


def test_no_source_file_has_grown_beyond_what_one_person_can_hold(sizes: dict[str, int]) -> None:
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES} == {}


def test_a_file_that_is_long_has_a_reason(sizes: dict[str, int]) -> None:
    long = {name for name, lines in sizes.items() if lines > LOOK_AGAIN and not name.startswith("tests/")}
    assert long - LONGER.keys() == set(), "split them, or say in LONGER why they are whole"
