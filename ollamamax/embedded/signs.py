"""Signs of progress: what is wrong with processes that run, but may be frozen, stuck, or without what they need."""

from __future__ import annotations

import datetime
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from ollamamax.embedded import postgres, valkey
from ollamamax.embedded.environment import Plan
from ollamamax.embedded.home import Home, read_json

SILENT = 20.0
"""Seconds after which a loop that has a turn every two counts as stuck."""
NO_ANSWER = "does not answer"


def troubles(home: Home, made: Plan, names: list[str]) -> dict[str, str]:
    """What is wrong, by the process's name, of those in ``names``; each is asked for a few seconds at most.

    `batches` gives no sign. Nodes and the controller are seen through the web process: while it is stuck they are not known.
    """
    found = {}
    if "postgres" in names and not postgres.is_ready(made.settings["DATABASE_URL"]):
        found["postgres"] = NO_ANSWER
    if "valkey" in names and not valkey.is_ready(made.settings["REDIS_URL"]):
        found["valkey"] = NO_ANSWER
    if reason := _unready(f"{made.local_url}/readyz"):
        found["web"] = reason
    gateways = [name for name in names if name.startswith("gateway-")]
    if gateways and (reason := _unready(f"{made.gateway_url}/readyz")):
        # They share a port: who was asked is not known.
        found |= dict.fromkeys(gateways, f"this or another gateway: {reason}")
    key = read_json(home.bootstrap_file).get("api_key", "")
    status, answer = _ask(f"{made.local_url}/api/v1/nodes", key)
    if status != 200:
        unknown = "not known: web does not list the nodes"
        return found | {name: unknown for name in names if name == "controller" or name.startswith("node-")}
    return found | stuck(answer.get("results", []), names, datetime.datetime.now(datetime.UTC))


def stuck(listed: list[dict[str, Any]], names: list[str], now: datetime.datetime) -> dict[str, str]:
    """The nodes that are silent, and the controller when it has not noted the ones that speak; by the API's list of nodes."""
    found = {}
    here = {node["name"]: node for node in listed}
    for name in names:
        if name.startswith("node-") and not here.get(name, {}).get("online"):
            found[name] = "gives no sign of life"
    noted = [datetime.datetime.fromisoformat(n["last_seen_at"]) for n in listed if n["online"] and n["last_seen_at"]]
    if noted and (age := (now - max(noted)).total_seconds()) > SILENT:
        found["controller"] = f"has not looked at the nodes for {age:.0f} s"
    return found


def _unready(url: str) -> str:
    """Why a process is not ready; empty when it is."""
    status, answer = _ask(url)
    if status is None:
        return NO_ANSWER
    down = ", ".join(f"{part} {word}" for part, word in answer.items() if part != "status" and word != "ok")
    return f"not ready: {down or status}" if status != 200 or down else ""


def _ask(url: str, key: str = "") -> tuple[int | None, dict[str, Any]]:
    """The status, ``None`` without an answer, and the JSON object of ``url``."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310 - our own
    # A certificate is for the public name; here only this machine's own process is asked whether it is there.
    context = ssl._create_unverified_context() if url.startswith("https:") else None  # noqa: S323
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    except (OSError, ValueError):
        return None, {}
    try:
        found = json.loads(body)
    except ValueError:
        found = {}
    return status, found if isinstance(found, dict) else {}
