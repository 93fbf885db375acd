"""Where chains end, noted outside the database and signed: what was cut off or written anew with its head is found by it.

A note is a line of JSON: time, chain, number and hash of its last record, and an Ed25519 signature over these and the line
before. The file and its key lie below OLLAMAMAX_HOME/audit; lines are only added. Who can write both is not kept out by it:
ship the file elsewhere against that.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.utils import timezone

from ollamamax.audit import chain
from ollamamax.audit.segments import Head
from ollamamax.audit.verify import heads

FILE, KEY = "heads.jsonl", "key"


class UntrustedKey(Exception):
    """What this key signs would not be believed."""


class NotesAltered(Exception):
    """A line of the notes is not what was written."""


def note_heads(folder: Path) -> int:
    """Add a note for each chain that ends elsewhere than its last note says; how many that were. Queries once."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        key = _key(folder)
        file.seek(0)
        lines = file.read().splitlines()
        known = {note["chain"]: Head(note["seq"], note["hash"]) for note in map(json.loads, lines)}
        before = lines[-1] if lines else b""
        changed = [(name, head) for name, head in heads() if known.get(name) is None or known[name].seq < head.seq]
        for name, head in changed:
            note = {"at": timezone.now(), "chain": name, "seq": head.seq, "hash": head.hash}
            signature = key.sign(_signed(note, before)).hex()
            before = chain.canonical({**note, "signature": signature})
            file.write(before + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return len(changed)


def noted(folder: Path) -> dict[str, Head]:
    """The last note of each chain, after all were checked. Raises `NotesAltered`."""
    return {name: max(some, key=lambda head: head.seq) for name, some in every_note(folder).items()}


def every_note(folder: Path) -> dict[str, list[Head]]:
    """All notes of each chain, after they were checked. Raises `NotesAltered`."""
    file = folder / FILE
    found: dict[str, list[Head]] = {}
    for note in _checked(file, _key(folder)) if file.exists() else []:
        found.setdefault(note["chain"], []).append(Head(note["seq"], note["hash"]))
    return found


def public_key(folder: Path) -> str | None:
    """The public half (hex) of the key that signs notes and checkpoints here; ``None`` where none was made yet."""
    return _key(folder).public_key().public_bytes_raw().hex() if (folder / KEY).exists() else None


def trusted_keys(folder: Path) -> frozenset[str]:
    """The public keys (hex) whose checkpoints count: ``OLLAMAMAX_AUDIT_KEYS``, or where that is empty the one that signs here.

    None of them comes from the database, whose owner could put another there.
    """
    own = public_key(folder)
    return frozenset(settings.ENV["OLLAMAMAX_AUDIT_KEYS"] or ([own] if own else []))


def signing_key(folder: Path) -> Ed25519PrivateKey:
    """The key that signs here, made on the first call."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return _key(folder)


def _checked(file: Path, key: Ed25519PrivateKey) -> Iterator[dict[str, Any]]:
    before = b""
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            note = json.loads(line)
            key.public_key().verify(bytes.fromhex(note.pop("signature")), _signed(note, before))
        except (InvalidSignature, ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotesAltered(f"line {number} of {file} was altered, or the line before it") from error
        yield note
        before = line


def _signed(note: dict[str, Any], before: bytes) -> bytes:
    return chain.canonical({**note, "before": hashlib.sha256(before).hexdigest()})


def _key(folder: Path) -> Ed25519PrivateKey:
    """Made on the first call, by the holder of the file's lock."""
    file = folder / KEY
    if not file.exists():
        half = folder / f".{KEY}"
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(Ed25519PrivateKey.generate().private_bytes_raw())
            out.flush()
            os.fsync(out.fileno())
        half.replace(file)
    return Ed25519PrivateKey.from_private_bytes(file.read_bytes())
