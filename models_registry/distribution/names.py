"""Paths and names of the registry protocol, and which model of which tenant one may mean. Pure.

A repository is ``<tenant>/<model>``, the tenant by its slug. ``library/<model>`` and any other name mean a model of the caller's own tenant, so that a
name is told as it is used elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from models_registry.distribution.faults import RegistryFault, digest_invalid, name_invalid

Kind = Literal["base", "token", "client_key", "catalog", "uploads", "upload", "blob", "manifest", "tags", "referrers"]

BASE = "/v2"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
_MOST_NAME = 255
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ALGORITHM = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]+")
_PATHS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"/v2/?()()"), "base"),
    (re.compile(r"/v2/token()()"), "token"),
    (re.compile(r"/v2/ollama-key()()"), "client_key"),
    (re.compile(r"/v2/_catalog()()"), "catalog"),
    (re.compile(r"/v2/(.+)/blobs/uploads/?()"), "uploads"),
    (re.compile(r"/v2/(.+)/blobs/uploads/([^/]+)"), "upload"),
    (re.compile(r"/v2/(.+)/blobs/([^/]+)"), "blob"),
    (re.compile(r"/v2/(.+)/manifests/([^/]+)"), "manifest"),
    (re.compile(r"/v2/(.+)/tags/list()"), "tags"),
    (re.compile(r"/v2/(.+)/referrers/([^/]+)"), "referrers"),
)
LIBRARY = "library"


@dataclass(frozen=True, slots=True)
class V2Path:
    """What a path names: ``name`` of a repository, ``item`` in it; each empty where there is none."""

    kind: Kind
    name: str
    item: str


def is_ours(path: str) -> bool:
    return path == BASE or path.startswith(f"{BASE}/")


def place_of(path: str) -> V2Path:
    """Raises `RegistryFault` for a path that is none, and for a name that cannot be."""
    for pattern, kind in _PATHS:
        if (found := pattern.fullmatch(path)) is not None:
            if found[1]:
                check_name(found[1])
            return V2Path(kind, found[1], found[2])
    raise RegistryFault("UNSUPPORTED", 404, "There is no such path in the registry protocol.")


def check_name(name: str) -> None:
    if not is_name(name):
        raise name_invalid(name)


def is_name(name: str) -> bool:
    return len(name) <= _MOST_NAME and _NAME.fullmatch(name) is not None


def checked_digest(text: str) -> str:
    """Raises `RegistryFault` for what is none, or is of an algorithm that is not supported."""
    if _DIGEST.fullmatch(text) is None:
        known = _ALGORITHM.fullmatch(text) is not None and not text.startswith("sha256:")
        raise digest_invalid("Digests are of sha256 here." if known else "This is not a digest.")
    return text


def is_digest(reference: str) -> bool:
    return ":" in reference


def is_tag(reference: str) -> bool:
    return _TAG.fullmatch(reference) is not None


def meant(name: str, slug: str) -> list[str]:
    """The models of the tenant with this slug that the repository may be, the likeliest first; a new one is made by the first of these names."""
    first, slash, rest = name.partition("/")
    if slash and first == slug:
        return [rest, name]
    if slash and first == LIBRARY:
        return [rest, name]
    return [name]


def path_of(slug: str, model: str) -> str:
    return f"{slug}/{model}"
