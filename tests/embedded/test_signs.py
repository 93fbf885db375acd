"""What the status makes of what the API says of nodes."""

from __future__ import annotations

import datetime
from typing import Any

from ollamamax.embedded.signs import SILENT, stuck

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NAMES = ["controller", "node-1", "web"]


def node(online: bool, seconds: float) -> dict[str, Any]:
    """One that the controller noted ``seconds`` ago."""
    return {"name": "node-1", "online": online, "last_seen_at": (NOW - datetime.timedelta(seconds=seconds)).isoformat()}


def test_nothing_is_stuck_while_nodes_speak_and_are_noted() -> None:
    assert stuck([node(True, 2)], NAMES, NOW) == {}


def test_a_node_that_speaks_and_is_not_noted_shows_a_stuck_controller() -> None:
    assert stuck([node(True, SILENT + 1)], NAMES, NOW).keys() == {"controller"}


def test_a_silent_or_missing_node_is_told_and_says_nothing_of_the_controller() -> None:
    assert stuck([node(False, 900)], NAMES, NOW).keys() == {"node-1"}
    assert stuck([], NAMES, NOW).keys() == {"node-1"}
