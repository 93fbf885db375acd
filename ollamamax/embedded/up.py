"""Starts everything on one machine in order, each part when the one below it is ready, and ends it again.

Knows no Django: what needs it runs as a process of its own. Everything here is safe to interrupt and to run again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from ollamamax.embedded import postgres, processes, reach, supervise, valkey
from ollamamax.embedded.environment import Plan, plan
from ollamamax.embedded.home import Home, read_json, write_private
from ollamamax.embedded.problem import Problem, from_os_error, refuse_busy_port, refuse_full_disk
from ollamamax.embedded.processes import SECRETS, Process, module
from ollamamax.embedded.supervise import INSTANCE, Supervisor


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal."""


def up(home: Home, *, detach: bool) -> int:
    """Start, say how to use it, and unless ``detach`` stay until it is stopped. Returns the exit status."""
    begun = time.monotonic()
    with _os_errors(home):
        home.create()
        lock = home.lock()
        if lock is None:
            url = home.running().get("url", "")
            print(f"OllamaMax already runs{f' at {url}' if url else ''} (`make down` stops it).")
            return 0 if detach else 1
    with _signals():
        supervisor: Supervisor | None = None
        try:
            with _os_errors(home):
                _hold(home, lock, os.getpid(), "")
                recover(home)
                made = plan(home)
                first = not home.bootstrap_file.exists()
                if first:
                    refuse_full_disk(home.folder)
                refuse_busy_port(made.host, made.port)
                wanted = _processes(home, made)
                supervisor = Supervisor.start(home, wanted, made.environ, lock, orphan=detach)
                assert supervisor.process is not None  # noqa: S101 - for the type checker
                _hold(home, lock, supervisor.process.pid, made.url)
                os.close(lock)
                _start(home, made, supervisor)
            _welcome(home, made, time.monotonic() - begun, first=first, detach=detach)
            if detach:
                return 0
            return _stay(home, supervisor)
        except Interrupted:
            _end(home, supervisor)
            return 0
        except BaseException:
            _end(home, supervisor, quiet=True)
            raise


def recover(home: Home) -> None:
    """End what a killed supervisor left running, and forget what it left lying. The caller holds the lock."""
    instance = home.instance()
    if home.postgres.exists():
        postgres.end_leftover(home.postgres.resolve())
    ended = supervise.end_leftovers(instance)
    if ended:
        print(f"Ended {ended} process{'es' if ended > 1 else ''} that the last run left behind.")
    for stale in home.run.iterdir():
        stale.unlink()


def down(home: Home) -> int:
    """Stop what runs in ``home`` and wait for its end; also what outlived its supervisor. Safe to repeat."""
    with _os_errors(home):
        if not home.folder.is_dir():
            print("OllamaMax does not run.")
            return 0
        holder = home.running()
        if pid := holder.get("pid"):
            print("Stopping ...", flush=True)
            supervise.stop(pid)
        end = time.monotonic() + 30
        while (lock := home.lock()) is None:
            if time.monotonic() > end:
                raise Problem(f"OllamaMax in {home.folder} does not stop: another program holds {home.lock_file}.")
            time.sleep(0.05)
        home.create()
        recover(home)
        os.close(lock)
        print("Stopped." if holder else "OllamaMax does not run.")
        return 0


def status(home: Home) -> int:
    """Print each process with its state; 0 when all run, 1 when not all do, 3 when none does."""
    holder = home.running()
    if not holder:
        print(f"OllamaMax does not run (home: {home.folder}).")
        return 3
    try:
        states = Supervisor(home, home.supervisor_socket()).states()
    except (OSError, xmlrpc.client.Error):
        print("OllamaMax is starting or stopping.")
        return 1
    print(f"OllamaMax at {holder.get('url')} (home: {home.folder})")
    for state in states:
        print(f"  {state['name']:12} {state['statename'].lower():10} {state['description']}")
    return 0 if all(state["statename"] == "RUNNING" for state in states) else 1


# The parts of `up`


def _processes(home: Home, made: Plan) -> list[Process]:
    """The processes of this start; makes the embedded servers' data where there is none."""
    wanted = []
    secrets = home.secrets()
    if made.postgres_port is not None:
        data = reach.data(home)
        programs = reach.programs(home, postgres.installation())
        if not data.exists():
            postgres.initialise(data, secrets["postgres_password"], programs)
        wanted.append(processes.postgres(postgres.command(data, made.postgres_port, programs)))
    if made.valkey_port is not None:
        valkey.write_users(home.valkey, secrets["valkey_password"])
        wanted.append(processes.valkey(home, valkey.command(home.valkey, made.valkey_port)))
    wanted += [processes.web(home), processes.controller(home)]
    for number in range(1, made.nodes + 1):
        home.node(number).mkdir(mode=0o700, exist_ok=True)
        wanted.append(processes.node(home, number))
    return wanted


def _start(home: Home, made: Plan, supervisor: Supervisor) -> None:
    """Begin every process when what it needs is ready."""
    database, bus = made.settings["DATABASE_URL"], made.settings["REDIS_URL"]
    names = [state["name"] for state in supervisor.states()]
    with _step("PostgreSQL and Valkey"):
        for name in {"postgres", "valkey"} & set(names):
            supervisor.begin(name)
        _wait(supervisor, "postgres" if made.postgres_port else "", lambda: postgres.is_ready(database),
              "The database that DATABASE_URL names does not answer: check its address, user and password.")  # fmt: skip
        _wait(supervisor, "valkey" if made.valkey_port else "", lambda: valkey.is_ready(bus),
              "The server that REDIS_URL names does not answer: check its address, user and password.")  # fmt: skip
    with _step("Tables and first user"):
        _run(home, made, module("ollamamax.cli", "prepare"), "The database could not be prepared")
    with _step("Web and controller"):
        supervisor.begin("web")
        supervisor.begin("controller")
        _wait(supervisor, "web", lambda: _answers(f"{made.local_url}/readyz"))
    nodes = [name for name in names if name.startswith("node-")]
    if nodes:
        with _step("Node" if len(nodes) == 1 else f"{len(nodes)} nodes"):
            for name in nodes:
                _join(home, made, name)
                supervisor.begin(name)
            _wait(supervisor, nodes[0], lambda: _serves(home, made, len(nodes)), seconds=120)
    for name in names:
        if supervisor.has_failed(name):
            raise Problem(_ended(home, name))


def _join(home: Home, made: Plan, name: str) -> None:
    """Join a node as any other joins: with a token, over HTTP; it keeps the identity it gets."""
    folder = home.folder / name
    if (folder / "identity.json").exists():
        return
    token = _run(home, made, module("ollamamax.cli", "node", "token"), "No join token could be made").strip()
    joining = module(
        "cluster.worker.cli", "join", made.url, "--token", "-", "--engine", "llamacpp", "--home", str(folder)
    )
    _run(home, made, joining, "The node could not join", stdin=token, secret=False)


def _serves(home: Home, made: Plan, nodes: int) -> bool:
    """Whether a first request would be answered: the nodes are there and one holds a model."""
    key = read_json(home.bootstrap_file).get("api_key", "")
    listed = _get(f"{made.local_url}/api/v1/nodes", key).get("results", [])
    return len([node for node in listed if node.get("status") == "online"]) >= nodes


def _run(home: Home, made: Plan, command: list[str], failure: str, *, stdin: str = "", secret: bool = True) -> str:
    """Run a program of ours to its end and return what it printed; without our secrets unless ``secret``."""
    environ = {k: v for k, v in made.environ.items() if secret or k not in SECRETS}
    result = subprocess.run(  # noqa: S603 - our own arguments
        command, input=stdin, env={**environ, INSTANCE: home.instance()}, cwd=home.folder, capture_output=True, text=True
    )  # fmt: skip
    if result.returncode:
        lines = "\n".join(f"    {line}" for line in (result.stderr or result.stdout).strip().splitlines()[-12:])
        raise Problem(f"{failure}; its last lines were:\n{lines}")
    return result.stdout


def _wait(
    supervisor: Supervisor, name: str, ready: Callable[[], bool], otherwise: str = "", seconds: float = 60
) -> None:
    """Return when ``ready``; raise `Problem` when the process ``name`` ended, or time is up."""
    end = time.monotonic() + seconds
    while not ready():
        if name and supervisor.has_failed(name):
            raise Problem(_ended(supervisor.home, name))
        if time.monotonic() > end:
            raise Problem(
                otherwise or f"{name} did not become ready in {seconds:.0f} s: see {supervisor.home.logs / name}.log."
            )
        time.sleep(0.05)


def _ended(home: Home, name: str) -> str:
    file = home.logs / f"{name}.log"
    tail = file.read_text(errors="replace").strip().splitlines()[-12:] if file.exists() else []
    lines = "\n".join(f"    {line}" for line in tail)
    return f"{name} ended while it started; the last lines of {file} are:\n{lines}"


def _answers(url: str) -> bool:
    """Whether ``url`` gives status 200."""
    try:
        # The certificate is for the public name; here only the process on this machine is asked whether it is there.
        context = ssl._create_unverified_context() if url.startswith("https:") else None  # noqa: S323
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:  # noqa: S310 - http or https, our own
            return int(answer.status) == 200
    except (OSError, ValueError):
        return False


def _get(url: str, key: str) -> dict[str, list[dict[str, object]]]:
    """The JSON object at ``url``, or an empty one while it cannot be had."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    try:
        context = ssl._create_unverified_context() if url.startswith("https:") else None  # noqa: S323
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
            found = json.load(answer)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _hold(home: Home, lock: int, pid: int, url: str) -> None:
    """Write into the lock who holds it. In place: a new file would be another lock."""
    text = json.dumps({"pid": pid, "url": url}).encode()
    os.ftruncate(lock, 0)
    os.pwrite(lock, text, 0)


def _stay(home: Home, supervisor: Supervisor) -> int:
    """Wait for the end of the supervisor, which `make down` brings about, or somebody's kill."""
    assert supervisor.process is not None  # noqa: S101 - for the type checker
    status = supervisor.process.wait()
    if status == 0:
        print("Stopped.")
        return 0
    lock = home.lock()
    if lock is not None:  # else a new start has already taken over
        recover(home)
        os.close(lock)
    raise Problem("The supervisor was killed, and everything was stopped: `make up` starts it again.")


def _end(home: Home, supervisor: Supervisor | None, *, quiet: bool = False) -> None:
    """Stop all in order; a second interruption kills."""
    if supervisor is None or supervisor.process is None:
        return
    if not quiet:
        print("\nStopping ...", flush=True)
    try:
        supervise.stop(supervisor.process.pid)
        supervisor.process.wait()
    except Interrupted:
        supervisor.process.kill()
        supervisor.process.wait()
    lock = home.lock()
    if lock is not None:
        recover(home)
        os.close(lock)
    if not quiet:
        print("Stopped.")


def _welcome(home: Home, made: Plan, seconds: float, *, first: bool, detach: bool) -> None:
    facts = read_json(home.bootstrap_file)
    file = home.bootstrap_file
    if made.url != facts.get("url") and facts:
        write_private(file, json.dumps(facts | {"url": made.url}, indent=2))
    # The key stays out of the terminal: the line reads it when it is pasted.
    key = f"""$({_quoted(sys.executable)} -c 'import json, sys; print(json.load(open(sys.argv[1]))["api_key"])' {_quoted(str(file))})"""
    body = '{"model": "smollm2:135m", "messages": [{"role": "user", "content": "Say hello in five words."}]}'
    password = facts.get("admin_password", "") if first else f'"admin_password" in {file}'
    print(
        f"\nOllamaMax is ready after {seconds:.0f} s: {made.url}\n\n"
        f"  Log in    {facts.get('admin_email', '')}   password: {password}\n"
        f'  Try       curl {made.url}/v1/chat/completions -H "Authorization: Bearer {key}" '
        f"-H 'Content-Type: application/json' -d '{body}'\n"
        f"  Logs      {home.logs}\n"
        f"  Stop      {'make down' if detach else 'Ctrl-C'}\n",
        flush=True,
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


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


@contextlib.contextmanager
def _os_errors(home: Home) -> Iterator[None]:
    """Turn what the operating system and the supervisor refuse into a sentence."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        if "No space left on device" in (error.stderr or ""):
            raise Problem(
                f"The disk of {home.folder} is full: free some space, or name another folder with OLLAMAMAX_HOME=."
            ) from error
        raise Problem(f"{Path(error.cmd[0]).name} failed: {(error.stderr or '').strip()}") from error
    except (ConnectionError, xmlrpc.client.Error) as error:
        raise Problem("OllamaMax was stopped while it started.") from error
    except OSError as error:
        raise from_os_error(error, home.folder) from error


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Within, Ctrl-C, SIGTERM and SIGHUP raise `Interrupted`."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Interrupted

    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in caught]
    try:
        yield
    finally:
        for number, handler in zip(caught, before, strict=True):
            signal.signal(number, handler)
