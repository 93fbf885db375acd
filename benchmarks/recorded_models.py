"""A public recording of which models of a generative service were asked for when: Alibaba's GenTD26, the requests of its users.

The file is not ours to hand on (its folder states no licence), so the caller names it: ``cluster-trace-v2026-GenAI/lora_request_trace.csv`` of the repository
``alibaba/clusterdata`` (tried at commit 7a6c496e). It names models, not their sizes: all count as equally large.
"""

from __future__ import annotations

import csv
import datetime
import math
from pathlib import Path

from benchmarks.warm_models import DAY, KNOWING, POLICIES, TIMES, Requests, Warm, foretold, run

NODES = 4
BEGIN = datetime.datetime(2024, 11, 15, tzinfo=datetime.UTC)
TRAINING, HELD_OUT = (12, 16), (16, 24)
"""Days since the recording begins: the four that settings were chosen on, then all of December."""


def read(path: Path, days: tuple[int, int]) -> Requests:
    """Raises `ValueError` for a file that is another one."""
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        lacking = {"gmt_create", "checkpoint_model_version_id"} - set(rows.fieldnames or ())
        if lacking:
            raise ValueError(f"{path.name} has no column {', '.join(sorted(lacking))}.")
        at = sorted((_seconds(row["gmt_create"]), row["checkpoint_model_version_id"]) for row in rows)
    models = sorted({model for _, model in at})
    whole = len(models) // TIMES
    room = tuple(whole // NODES + (node < whole % NODES) for node in range(NODES))
    return Requests(dict.fromkeys(models, 1), at, days[0] * DAY, days[1] * DAY, room)


def _seconds(moment: str) -> int:
    return int((datetime.datetime.fromisoformat(moment).replace(tzinfo=datetime.UTC) - BEGIN).total_seconds())


def clairvoyant(made: Requests) -> Warm:
    """The fewest cold hits of any policy that loads nothing before it is asked for, for equally large models and one memory of all nodes' room: what is asked for again
    last goes (Belady)."""
    following: list[float] = [math.inf] * len(made.at)
    later: dict[str, int] = {}
    for number in reversed(range(len(made.at))):
        at, model = made.at[number]
        following[number] = later.get(model, math.inf)
        later[model] = at
    held: dict[str, float] = {}
    found = Warm(0, 0, 0)
    for (at, model), then in zip(made.at, following, strict=True):
        if at >= made.end:
            break
        counts = at >= made.begin
        found.requests += counts
        if model not in held:
            found.cold, found.loads = found.cold + counts, found.loads + counts
            if len(held) == sum(made.room):
                del held[max(held, key=held.__getitem__)]
        held[model] = then
    return found


def measure(made: Requests) -> dict[str, Warm]:
    """Of a recording: nobody knows its true rates."""
    chosen = {name: policy for name, policy in POLICIES.items() if policy is not foretold and name != KNOWING}
    found = {name: run(made, policy(made)) for name, policy in chosen.items()}
    return found | {"loads on demand, and knows when each is asked for next": clairvoyant(made)}
