"""What runs on one machine: the list of processes, with their commands, order and what they may know. Decides only."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ollamamax.embedded.home import Home

OWNER = ("DATABASE_OWNER_URL",)
"""For `ollamamax prepare` alone: what runs may change rows, not tables."""

SECRETS = ("OLLAMAMAX_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "OLLAMAMAX_METRICS_TOKEN", *OWNER)
"""Not for the database servers, and above all not for nodes, which have their own way in."""

GATEWAY_SECRETS = ("OLLAMAMAX_SECRET_KEY", "DATABASE_URL", *OWNER)
"""What a gateway does without."""

BACKGROUND = 5
"""The niceness of what nobody waits for: on a busy machine the data plane goes first, and loops and batches catch up."""

GRACE_SECONDS = 15
"""How long a node's running requests have when it is stopped."""


@dataclass(frozen=True)
class Process:
    """One program under the supervisor; lower ``order`` starts earlier and stops later."""

    name: str
    command: Sequence[str]
    order: int
    folder: str = "/"
    user: int | None = None
    """User and group to become when root starts it."""
    without: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM
    stop_seconds: int = 25
    on_orphaned: int = signal.SIGKILL
    """Sent by the kernel when the supervisor died. Servers with data stop cleanly; others' leases lapse as in any crash."""

    nice: int = 0
    keeps: str = ""
    """Folder of its data. It begins only when there is room on that disk: a server that ends for want of it is back as soon as there is."""

    def for_child(self) -> dict[str, Any]:
        """What `ollamamax.embedded.child` reads."""
        facts = asdict(self)
        return {
            k: facts[k] for k in ("command", "folder", "user", "without", "environment", "on_orphaned", "nice", "keeps")
        }


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def postgres(data: Path, command: Sequence[str], user: int | None) -> Process:
    return Process(
        "postgres",
        command,
        10,
        user=user,
        without=SECRETS,
        stop=signal.SIGINT,
        on_orphaned=signal.SIGINT,
        keeps=str(data),
    )


def valkey(home: Home, command: Sequence[str]) -> Process:
    data = str(home.valkey)
    return Process("valkey", command, 10, folder=data, without=SECRETS, on_orphaned=signal.SIGTERM, keeps=data)


def web(home: Home) -> Process:
    return Process("web", module("ollamamax.cli", "web"), 20, folder=str(home.folder), without=OWNER)


def gateway(home: Home, number: int) -> Process:
    command = module("ollamamax.cli", "gateway")
    return Process(f"gateway-{number}", command, 20, folder=str(home.folder), without=GATEWAY_SECRETS)


def controller(home: Home) -> Process:
    command = module("ollamamax.cli", "controller")
    return Process("controller", command, 20, folder=str(home.folder), without=OWNER, nice=BACKGROUND)


def batches(home: Home) -> Process:
    command = module("ollamamax.cli", "batches")
    return Process("batches", command, 20, folder=str(home.folder), without=OWNER, nice=BACKGROUND)


def node(home: Home, number: int, *, measured: bool = False) -> Process:
    """``measured``: the settings have metrics served. A node's are for this machine: it does not know the token."""
    folder = home.node(number)
    served = {"OLLAMAMAX_METRICS_ADDRESS": "127.0.0.1:0", "OLLAMAMAX_METRICS_FOLDER": str(home.folder / "metrics")}
    command = module("cluster.worker.cli", "run", "--home", str(folder), "--grace", str(GRACE_SECONDS))
    return Process(
        folder.name, command, 30, folder=str(folder), without=SECRETS, environment=served if measured else {}
    )


def source() -> Path:
    """The folder that holds our packages; children import the same code as their parent, installed or not."""
    return Path(__file__).resolve().parent.parent.parent
