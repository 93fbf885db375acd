"""Who this node is: what joining gave it, kept in ``identity.json`` in its home, mode 600."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from cluster.engines.build import EngineChoice

FILE = "identity.json"


class IdentityMissing(Exception):
    """The home holds no usable identity; the text says what to do."""


class Identity(msgspec.Struct, omit_defaults=True):
    """``url`` is the control plane as this node reaches it; ``redis_url`` holds the node's own user and password."""

    node: str
    name: str
    tenant: str
    secret: str
    redis_url: str
    url: str
    engine: EngineChoice


def write(home: Path, identity: Identity) -> None:
    """Keep ``identity``: the whole file or nothing, readable by its owner only."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp makes the file with mode 600.
    handle, temporary = tempfile.mkstemp(dir=home, prefix=FILE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(identity), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(home / FILE)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(home: Path) -> Identity:
    """The identity in ``home``. Raises `IdentityMissing`."""
    try:
        return msgspec.json.decode((home / FILE).read_bytes(), type=Identity)
    except FileNotFoundError:
        raise IdentityMissing(f"This host has not joined: {home} holds no {FILE}. Run `ollamamax-node join`.") from None
    except (OSError, msgspec.DecodeError) as error:
        raise IdentityMissing(f"{home / FILE} cannot be read ({error}). Run `ollamamax-node join --force`.") from error
