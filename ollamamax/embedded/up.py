"""Everything on one machine: start it, stay with it, end it. Knows no Django; what needs it runs as its own process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

from ollamamax.embedded import private, supervise
from ollamamax.embedded.child import LEAST_ROOM
from ollamamax.embedded.down import recover
from ollamamax.embedded.environment import plan, remember
from ollamamax.embedded.home import Home
from ollamamax.embedded.problem import NEEDED_BYTES, Problem, refuse_busy_port, refuse_full_disk
from ollamamax.embedded.restored import Backup
from ollamamax.embedded.start import start, wanted
from ollamamax.embedded.supervise import Child
from ollamamax.embedded.welcome import welcome


class StopSignal(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal."""


def up(home: Home, *, detach: bool, backup: Backup | None = None) -> int:
    """Start, say how to use it, and unless ``detach`` stay until it is stopped. Returns the exit status.

    With ``backup`` a home without data begins with what that holds.
    """
    begun = time.monotonic()
    os.umask(0o077)
    home.create()
    lock = home.lock()
    if lock is None:
        url = home.running().get("url", "")
        print(f"OllamaMax already runs{f' at {url}' if url else ''} (`make down` stops it).")
        return 0 if detach else 1
    supervisor: Child | None = None
    with _signals():
        try:
            try:
                _hold(lock, os.getpid(), "")
                recover(home)
                private.secure(home)
                if backup is not None:
                    backup.take_key(home)
                made = plan(home)
                first = not home.bootstrap_file.exists()
                refuse_full_disk(home.folder, NEEDED_BYTES if first else LEAST_ROOM)
                for port in filter(None, (made.port, made.gateway_port)):
                    refuse_busy_port(made.host, port)
                supervisor = Child.start(home, wanted(home, made), made.environ, lock, orphan=detach)
                _hold(lock, supervisor.pid, made.url)
                remember(home, made)
            finally:
                # From here on the supervisor alone holds it, if there is one.
                os.close(lock)
            start(home, made, supervisor, backup)
            print(welcome(home, made, time.monotonic() - begun, first=first, detach=detach), flush=True)
            return 0 if detach else _stay(home, supervisor)
        except StopSignal:
            print("\nStopping ...", flush=True)
            _end(home, supervisor)
            print("Stopped.")
            return 0
        except supervise.UNREACHABLE as error:
            stopped = supervisor is not None and supervisor.process.poll() is not None
            _end(home, supervisor)
            if stopped:
                raise Problem("OllamaMax was stopped while it started.") from error
            raise
        except BaseException:
            _end(home, supervisor)
            raise


def _hold(lock: int, pid: int, url: str) -> None:
    """Write into the lock who holds it. In place: a new file would be another lock."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"pid": pid, "url": url}).encode(), 0)


def _stay(home: Home, supervisor: Child) -> int:
    """Wait for the end of the supervisor, which `make down` brings about, or somebody's kill."""
    if supervisor.process.wait() == 0:
        print("Stopped.")
        return 0
    _clean(home)
    raise Problem("The supervisor was killed, and everything was stopped: `make up` starts it again.")


def _end(home: Home, supervisor: Child | None) -> None:
    """Stop all in order; a second interruption kills."""
    if supervisor is None:
        return
    try:
        supervise.stop(supervisor.pid, supervisor.socket)
    except StopSignal:
        supervisor.process.kill()
    supervisor.process.wait()
    _clean(home)


def _clean(home: Home) -> None:
    lock = home.lock()
    if lock is not None:  # else a new start has taken over already
        recover(home)
        os.close(lock)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Within, Ctrl-C, SIGTERM and SIGHUP raise `StopSignal`."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise StopSignal

    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in caught]
    try:
        yield
    finally:
        for number, handler in zip(caught, before, strict=True):
            signal.signal(number, handler)
