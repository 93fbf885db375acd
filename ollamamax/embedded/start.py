"""The order of a start: each process begins when the ones below it are ready. It may be interrupted anywhere."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from ollamamax.bus.connect import elsewhere
from ollamamax.embedded import account, postgres, processes, reach, valkey
from ollamamax.embedded.down import tail
from ollamamax.embedded.environment import Plan
from ollamamax.embedded.home import Home, read_json, write_private
from ollamamax.embedded.problem import Problem
from ollamamax.embedded.processes import SECRETS, Process, module
from ollamamax.embedded.restored import Backup
from ollamamax.embedded.supervise import INSTANCE, Supervisor
from ollamamax.embedded.welcome import QUESTION

IDENTITY = "identity.json"


def wanted(home: Home, made: Plan) -> list[Process]:
    """The processes of this start; makes the embedded servers' data where there is none."""
    found = []
    secrets = home.secrets()
    if made.postgres_port is not None:
        data = reach.data(home)
        programs = reach.programs(home, postgres.installation())
        user = account.of(home)
        if not data.exists():
            postgres.initialise(data, secrets["postgres_password"], programs, user=user)
        found.append(processes.postgres(data, postgres.command(data, made.postgres_port, programs), user))
    if made.valkey_port is not None:
        valkey.write_users(home.valkey, secrets["valkey_password"])
        found.append(processes.valkey(home, valkey.command(home.valkey, made.valkey_port, home.socket("valkey"))))
    found += [processes.web(home), processes.controller(home), processes.batches(home)]
    if made.settings["OLLAMAMAX_GATEWAY_PORT"]:
        found += [processes.gateway(home, number) for number in range(1, made.settings["OLLAMAMAX_GATEWAYS"] + 1)]
    for number in range(1, made.nodes + 1):
        home.node(number).mkdir(mode=0o700, exist_ok=True)
        found.append(processes.node(home, number, measured=bool(made.settings["OLLAMAMAX_METRICS_ADDRESS"])))
    return found


def start(home: Home, made: Plan, supervisor: Supervisor, backup: Backup | None = None) -> None:
    """Begin every process and return when a first request would be answered. Raises `Problem`."""
    names = [str(state["name"]) for state in supervisor.states()]
    with _step("PostgreSQL and Valkey"):
        for name in names:
            if name in {"postgres", "valkey"}:
                supervisor.begin(name)
        # The user that everything runs as may not be there yet.
        database = made.settings["DATABASE_OWNER_URL"] or made.settings["DATABASE_URL"]
        bus = made.settings["REDIS_URL"]
        if made.postgres_port:
            _wait(supervisor, "postgres", lambda: postgres.is_ready(database))
        else:
            _wait_for_others(lambda: postgres.is_ready(database), "database", "DATABASE_URL")
        if made.valkey_port:
            _wait(supervisor, "valkey", lambda: valkey.is_ready(bus))
        else:
            _wait_for_others(lambda: valkey.is_ready(bus), "server", "REDIS_URL")
    if backup is not None:
        with _step("Restore"):
            _run(home, made, backup.command(), "The backup could not be restored")
    with _step("Tables and first user"):
        _run(home, made, module("ollamamax.cli", "prepare"), "The database could not be prepared")
    nodes = [name for name in names if name.startswith("node-")]
    gateways = [name for name in names if name.startswith("gateway-")]
    with _step("Web and controller"):
        # Nodes that have joined before need only the bus to begin; their start-up is as long as that of the web.
        for name in ["web", "controller", *gateways, *(name for name in nodes if _bring_up_to_date(home, made, name))]:
            supervisor.begin(name)
        _wait(supervisor, "web", lambda: _get(f"{made.local_url}/readyz") is not None)
        for name in gateways:
            # They share a port: one that answers may be any, one that failed is seen at the end.
            _wait(supervisor, name, lambda: _get(f"{made.gateway_url}/readyz") is not None)
    if nodes:
        with _step("Node" if len(nodes) == 1 else f"{len(nodes)} nodes"):
            for name in nodes:
                if not (home.folder / name / IDENTITY).exists():
                    _join(home, made, name)
                    _bring_up_to_date(home, made, name)
                    supervisor.begin(name)
            _wait(supervisor, nodes[0], lambda: _serves(home, made, len(nodes)))
    supervisor.begin("batches")  # last: no first request waits for it
    for name in names:
        if supervisor.has_failed(name):
            raise Problem(_ended(home, name))


def _bring_up_to_date(home: Home, made: Plan, name: str) -> bool:
    """The addresses in a node's identity, of which another start may have others; ``False`` for a node that has none yet."""
    identity = home.folder / name / IDENTITY
    known = read_json(identity)
    if not known:
        return False
    moved = known | {"url": made.url_here, "redis_url": _moved(known["redis_url"], made)}
    if moved != known:
        write_private(identity, json.dumps(moved, indent=2))
    return True


def _join(home: Home, made: Plan, name: str) -> None:
    """Join a node as any other joins: with a token, over HTTP; later starts find the identity it got."""
    token = _run(home, made, module("ollamamax.cli", "node", "token"), "No join token could be made").strip()
    join = [
        "join",
        made.url_here,
        "--token",
        "-",
        "--engine",
        "llamacpp",
        "--name",
        name,
        "--home",
        str(home.folder / name),
    ]
    _run(home, made, module("cluster.worker.cli", *join), "The node could not join", stdin=token, secret=False)


def _moved(redis_url: str, made: Plan) -> str:
    """The node's way to the embedded Valkey, whose socket another start may have put elsewhere."""
    return redis_url if made.valkey_port is None else elsewhere(redis_url, made.environ["REDIS_URL"])


def _serves(home: Home, made: Plan, nodes: int) -> bool:
    """Whether a first request would be answered: every node is there and holds the model that it asks for."""
    key = read_json(home.bootstrap_file).get("api_key", "")
    listed = _get(f"{made.local_url}/api/v1/nodes", key)
    published = _get(f"{made.local_url}/api/v1/models", key)
    if listed is None or published is None:
        return False
    return serving(listed.get("results", []), published.get("results", [])) >= nodes


def serving(listed: list[dict[str, Any]], published: list[dict[str, Any]]) -> int:
    """How many of the API's nodes hold the version that the first request's model stands for now, or any where it stands for none.

    After an upgrade published it anew, nodes still hold the version before.
    """
    wanted = {model["version"] for model in published if model["name"] == QUESTION["model"]}
    held = [
        [m for m in (node["telemetry"] or {}).get("models", []) if not wanted or m["version"] in wanted]
        for node in listed
    ]
    return sum(any(_is_usable(model) for model in models) for models in held)


def _is_usable(model: dict[str, Any]) -> bool:
    return model["state"] in {"present", "ready", "loading", "loaded"}


def _run(home: Home, made: Plan, command: list[str], failure: str, *, stdin: str = "", secret: bool = True) -> str:
    """Run a program of ours to its end and return what it printed; without our secrets unless ``secret``."""
    environ = {k: v for k, v in made.environ.items() if secret or k not in SECRETS} | {INSTANCE: home.instance()}
    result = subprocess.run(  # noqa: S603 - our own arguments
        command, input=stdin, env=environ, cwd=home.folder, capture_output=True, text=True
    )
    if result.returncode:
        lines = "\n".join(f"    {line}" for line in (result.stderr or result.stdout).strip().splitlines()[-12:])
        raise Problem(f"{failure}; its last lines were:\n{lines}")
    return result.stdout


def _wait(supervisor: Supervisor, name: str, ready: Callable[[], bool], seconds: float = 180) -> None:
    """Return when ``ready``; raise `Problem` when the process ``name`` ended, or time is up."""
    end = time.monotonic() + seconds
    while not ready():
        if supervisor.has_failed(name):
            raise Problem(_ended(supervisor.home, name))
        if time.monotonic() > end:
            log = supervisor.home.logs / f"{name}.log"
            raise Problem(f"{name} was not ready after {seconds:.0f} s; the last lines of {log} are:\n{tail(log)}")
        time.sleep(0.05)


def _wait_for_others(ready: Callable[[], bool], what: str, setting: str, seconds: float = 10) -> None:
    """The same for a server that is not ours to start."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise Problem(f"The {what} that {setting} names does not answer: check its address, user and password.")
        time.sleep(0.2)


def _ended(home: Home, name: str) -> str:
    log = home.logs / f"{name}.log"
    return f"{name} ended while it started; the last lines of {log} are:\n{tail(log)}"


def _get(url: str, key: str = "") -> dict[str, Any] | None:
    """The JSON object at ``url`` (empty when the body is none), or ``None`` while it is not answered with 200."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http or https, our own
    # A certificate is for the public name; here only this machine's own process is asked whether it is there.
    context = ssl._create_unverified_context() if url.startswith("https:") else None  # noqa: S323
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
            body = answer.read()
    except (OSError, ValueError):
        return None
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    begun = time.monotonic()
    print(f"{what} ...", end="", flush=True)
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f" ready ({time.monotonic() - begun:.1f} s)", flush=True)
