"""The process supervisor (supervisord) of one home: its configuration, start, commands and end.

supervisord restarts what dies, stops in reverse order, and holds the home's lock for as long as it lives.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import signal
import socket as socket_module
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from ollamamax.embedded import child
from ollamamax.embedded.home import Home, write_private
from ollamamax.embedded.problem import Problem
from ollamamax.embedded.processes import Process, module

INSTANCE = "OLLAMAMAX_INSTANCE"
"""Environment variable that marks every process of a home, with all they start."""

UNREACHABLE = (OSError, http.client.HTTPException, xmlrpc.client.Error)
"""What asking a supervisor raises that is not there, not yet, or no longer."""

# Paths are relative to the home, or come in as %(ENV_...)s after parsing: no folder's name can break the file.
SUPERVISORD = """\
[unix_http_server]
file=%(ENV_OMX_SOCKET)s
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
nodaemon=true
silent=true
user={user}
umask=077
minfds=1024
logfile=logs/supervisor.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile=run/supervisor.pid
childlogdir=logs
"""
PROGRAM = """
[program:{name}]
command=%(ENV_OMX_CHILD)s {name}
priority={order}
autostart=false
autorestart=true
startsecs=2
startretries=1000000
stopsignal={signal}
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


def configuration(processes: Sequence[Process]) -> str:
    """The text of supervisord's configuration file; holds no path and no secret."""
    programs = [
        PROGRAM.format(name=p.name, order=p.order, signal=p.stop.name.removeprefix("SIG"), stop_seconds=p.stop_seconds)
        for p in processes
    ]
    return SUPERVISORD.format(user=os.geteuid()) + "".join(programs)


class Supervisor:
    """A supervisord that listens on ``socket``."""

    def __init__(self, home: Home, socket: Path) -> None:
        self.home = home
        self.socket = socket

    @property
    def rpc(self) -> Any:
        """supervisord's commands. A new connection each time, because a failed one cannot be used again."""
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def begin(self, name: str) -> None:
        """Start one process; returns at once."""
        self.rpc.startProcess(name, False)

    def states(self) -> list[dict[str, Any]]:
        """supervisord's facts on each process: ``name``, ``statename``, ``pid``, ``description`` and more."""
        found: list[dict[str, Any]] = self.rpc.getAllProcessInfo()
        return found

    def has_failed(self, name: str) -> bool:
        """Whether the process ended instead of staying up; it would be tried again, but the first failure tells."""
        return str(self.rpc.getProcessInfo(name)["statename"]) in {"BACKOFF", "FATAL", "EXITED"}


class Child(Supervisor):
    """A supervisord that this process started."""

    def __init__(self, home: Home, socket: Path, process: subprocess.Popen[bytes]) -> None:
        super().__init__(home, socket)
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    @classmethod
    def start(
        cls, home: Home, processes: Sequence[Process], environ: Mapping[str, str], lock: int, *, orphan: bool
    ) -> Child:
        """Start supervisord with every process stopped, and hand it the lock. It survives us only when ``orphan``."""
        socket = home.socket("supervisor")
        socket.unlink(missing_ok=True)
        file, configured = home.run / "processes.json", home.run / "supervisord.conf"
        command = [*module("ollamamax.embedded.supervisord"), "--nodaemon", "--configuration", str(configured)]
        itself = Process("supervisor", command, 0, str(home.folder), on_orphaned=0 if orphan else signal.SIGTERM)
        write_private(file, json.dumps({p.name: p.for_child() for p in [itself, *processes]}, indent=2))
        write_private(configured, configuration(processes))
        start = [sys.executable, "-I", "-S", str(Path(child.__file__)), str(file)]
        paths = {"OMX_CHILD": shlex.join(start), "OMX_SOCKET": str(socket)}
        with (home.logs / "supervisor-output.log").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own arguments
                [*start, itself.name],
                env={**environ, **paths, INSTANCE: home.instance()},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                pass_fds=[lock], start_new_session=True,
            )  # fmt: skip
        self = cls(home, socket, process)
        try:
            self._wait_answer()
        except BaseException:
            process.kill()  # nothing runs under it yet
            process.wait()
            raise
        return self

    def _wait_answer(self, seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                self.rpc.getState()
            except UNREACHABLE as error:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise Problem(
                        f"The supervisor did not start: see {self.home.logs}/supervisor-output.log."
                    ) from error
                time.sleep(0.02)
            else:
                return


def stop(pid: int, socket: Path, seconds: float = 90) -> None:
    """Have the supervisor ``pid`` stop all in reverse order and end; kill it when it does not in time."""
    try:
        process = psutil.Process(pid)
        process.terminate()
    except psutil.NoSuchProcess:
        return
    end = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            process.kill()
        # Its loop looks at children once a second, and whenever somebody knocks.
        with contextlib.suppress(OSError), socket_module.socket(socket_module.AF_UNIX) as knock:
            knock.connect(str(socket))
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(0.05)


def marked(instance: str) -> list[psutil.Process]:
    """The living processes of a home, found by their mark; ourselves and those who started us are no part of it."""
    own = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(INSTANCE) == instance and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_leftovers(instance: str, seconds: float = 10) -> int:
    """End processes that outlived their supervisor; returns how many there were. The caller holds the lock."""
    left = marked(instance)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(left, timeout=seconds)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return len(left)
