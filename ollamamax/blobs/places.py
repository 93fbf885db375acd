"""Where an installation keeps bytes, by its settings: in its home, or in a bucket with what lay in the home before."""

from __future__ import annotations

import functools
from pathlib import Path

from ollamamax.blobs.bucket import BucketPlace, BucketStore
from ollamamax.blobs.disk import DiskStore, in_folder
from ollamamax.blobs.staging import Staging
from ollamamax.blobs.store import Sources
from ollamamax.env import Environment


def sources(home: Path, kind: str, env: Environment) -> Sources:
    """``kind`` is `blobs` (of models) or `files` (of batches). What comes in is gathered in the home either way."""
    store = bucket(home, kind, env)
    return in_folder(home / kind) if store is None else Sources(Staging(home / kind), [store, DiskStore(home / kind)])


def bucket(home: Path, kind: str, env: Environment) -> BucketStore | None:
    """``None`` where everything lies in the home."""
    address = env["OLLAMAMAX_BLOB_STORE"]
    return _at(address, home, kind, env) if address else None


def heads_bucket(home: Path, env: Environment) -> BucketStore | None:
    """Where the heads of audit chains are published; ``None`` where nowhere."""
    address = env["OLLAMAMAX_AUDIT_HEADS_STORE"]
    return _at(address, home, "heads", env) if address else None


def _at(address: tuple[str, str], home: Path, kind: str, env: Environment) -> BucketStore:
    name, prefix = address
    return _bucket(
        BucketPlace(
            name,
            f"{prefix}/{kind}".lstrip("/"),
            env["OLLAMAMAX_S3_ENDPOINT"],
            env["OLLAMAMAX_S3_REGION"],
            env["OLLAMAMAX_S3_ACCESS_KEY_ID"],
            env["OLLAMAMAX_S3_SECRET_ACCESS_KEY"],
            env["OLLAMAMAX_S3_CA"],
        ),
        home / f"{kind}.bucket",
    )


_bucket = functools.cache(BucketStore)
"""Made once in a process: it keeps connections."""
