"""What stops a start, as one sentence that says what to do."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

NEEDED_BYTES = 500 << 20
"""Free disk of a first start: the model twice (published and on the node), PostgreSQL's logs, and air."""


class Problem(Exception):
    """Shown to the person as it is; the program ends with status 1."""


def from_os_error(error: OSError, home: Path) -> Problem:
    """The sentence for an error of the operating system that a start can meet."""
    place = error.filename or home
    if error.errno == errno.ENOSPC:
        return Problem(f"The disk of {place} is full: free some space, or name another folder with OLLAMAMAX_HOME=.")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return Problem(
            f"This user may not write to {place}: give it the right to, or name another folder with OLLAMAMAX_HOME=."
        )
    return Problem(f"{place}: {error.strerror or error}.")


def from_failure(error: subprocess.CalledProcessError, home: Path) -> Problem:
    """The sentence for a program of ours that failed."""
    said = str(error.stderr or error.stdout or "").strip()
    if "No space left on device" in said:
        return from_os_error(OSError(errno.ENOSPC, ""), home)
    if "could not look up effective user ID" in said:
        return Problem(
            f"PostgreSQL needs to know the name of the user it runs as, and user {os.geteuid()} has none: add one to "
            "/etc/passwd, or name a database elsewhere with DATABASE_URL=."
        )
    return Problem(f"{Path(str(error.cmd[0])).name} failed: {said}")


def refuse_full_disk(home: Path, needed: int) -> None:
    free = shutil.disk_usage(home).free
    if free < needed:
        raise Problem(
            f"The disk of {home} has {free >> 20} MB free and OllamaMax needs {needed >> 20} MB: free some space, "
            "or name a folder on another disk with OLLAMAMAX_HOME=."
        )


def refuse_busy_port(host: str, port: int) -> None:
    """Raise when the web process could not listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise Problem(
            f"HOST is {host!r}, which is no address of this machine: set HOST to one, as 127.0.0.1."
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Problem(
                    f"Port {port} of {host} is used by another program: stop that, or choose another port, "
                    f"as in `make up PORT={port + 1}`."
                ) from error
            if error.errno in {errno.EACCES, errno.EPERM}:
                raise Problem(
                    f"This user may not listen on port {port}: choose one above 1023, as in `make up PORT=8000`."
                ) from error
            raise Problem(
                f"HOST is {host!r}, which is no address of this machine: set HOST to one, as 127.0.0.1."
            ) from error
