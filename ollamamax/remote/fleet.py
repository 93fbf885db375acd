"""Commands about the fleet: how all is, its nodes, what a node logs."""

from __future__ import annotations

import time
from typing import Any

import click

from ollamamax.remote import find, show
from ollamamax.remote.api import RemoteApi

_SERVES = frozenset({"ready", "present"})


@click.command()
@click.argument("model", required=False, metavar="[MODEL]")
@show.with_api
def status(api: RemoteApi, model: str | None) -> None:
    """Every channel, its version and on how many nodes that is ready; of one MODEL where it is named. And the rollouts that are under way."""
    rows = find.channels_of(api, find.name_and_tag(model)[0]) if model else list(api.listed("/api/v1/models"))
    running = [
        each
        for state in ("preloading", "running", "paused")
        for each in api.listed("/api/v1/rollouts", state=state)
        if not model or each["model"] == find.name_and_tag(model)[0]
    ]
    told = {"models": rows, "rollouts": running}
    show.result(told, lambda: _status_text(rows, running))


def _status_text(rows: list[dict[str, Any]], running: list[dict[str, Any]]) -> str:
    heads = ("MODEL", "VERSION", "SIZE", "READY", "MOVED")
    text = show.table(heads, map(_model_row, rows))
    if running:
        heads = ("ROLLOUT", "OF", "TO", "STATE", "WHY")
        found = [
            (
                each["id"],
                f"{each['model']}:{each['channel']}",
                show.short(each["to_version"]),
                each["state"],
                each["why"],
            )
            for each in running
        ]
        text += f"\n\n{show.table(heads, found)}"
    return text


def _model_row(row: dict[str, Any]) -> tuple[str, ...]:
    ready = sum(each["state"] in _SERVES for each in row["replicas"])
    return (
        *(row["name"], show.short(row["version"]), show.size(row["size"] or None)),
        *(f"{ready} of {len(row['replicas'])}", row["moved_at"][:19]),
    )


@click.command(epilog="On the server itself, `ollamamax nodes list|cordon|drain|resume` changes nodes without the API.")
@show.with_api
def nodes(api: RemoteApi) -> None:
    """The nodes that this key may see."""
    found = list(api.listed("/api/v1/nodes"))
    heads = ("NODE", "ENGINE", "STATE", "REGION", "VERSION", "LAST SEEN")
    show.result(found, lambda: show.table(heads, map(_node_row, found)))


def _node_row(node: dict[str, Any]) -> tuple[str, ...]:
    state = node["lifecycle"] if node["online"] else f"{node['lifecycle']}, offline"
    if not node["schedulable"]:
        state += ", cordoned"
    seen = (node["last_seen_at"] or "never")[:19]
    return node["name"], node["engine"], state, node["region"] or "-", node["agent_version"] or "-", seen


@click.command()
@click.argument("node")
@click.option("--part", type=click.Choice(["agent", "engine"]), default="agent", show_default=True)
@click.option("-n", "--lines", type=click.IntRange(1, 500), default=100, show_default=True, help="The last so many.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until it is interrupted.")
@click.option("--interval", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Seconds between looks.")
@show.with_api
def logs(api: RemoteApi, node: str, part: str, lines: int, follow: bool, interval: float) -> None:
    """The last lines that NODE (name or id) or its engine wrote. With --json, one object each time it is asked."""
    where = f"/api/v1/nodes/{find.node(api, node)['id']}/log"
    found = api.get(where, part=part)
    found["lines"] = found["lines"][-lines:]
    if found["note"] and not show.wants_json():
        show.progress(found["note"])
    _tell_lines(found)
    while follow:
        time.sleep(interval)
        boot, after = found["boot"], found["lines"][-1]["number"] if found["lines"] else 0
        found = api.get(where, part=part, after=after)
        if found["boot"] != boot:  # the node was started anew, and its numbers begin again
            found = api.get(where, part=part)
        if found["lines"]:
            _tell_lines(found)
        else:
            found["lines"] = [{"number": after, "text": ""}] if found["boot"] == boot else []


def _tell_lines(found: dict[str, Any]) -> None:
    if show.wants_json() or found["lines"]:
        show.result(found, lambda: "\n".join(each["text"] for each in found["lines"]))
