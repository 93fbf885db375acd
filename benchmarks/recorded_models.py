"""A public recording of which models of a generative service were asked for when: Alibaba's GenTD26, the requests of its users.

The file is not ours to hand on (its folder states no licence), so the caller names it: ``cluster-trace-v2026-GenAI/lora_request_trace.csv`` of the repository
``alibaba/clusterdata`` (tried at commit 7a6c496e). It names models, not their sizes: all count as equally large.
"""

from __future__ import annotations

import csv
import datetime
from pathlib import Path

from benchmarks.warm_models import DAY, TIMES, Requests

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
