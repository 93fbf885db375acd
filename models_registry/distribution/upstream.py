"""Names of a mirror: its prefix here, its upstream elsewhere, and what a name below the prefix means there. Pure."""

from __future__ import annotations

import re

from models_registry.distribution.names import LIBRARY, is_name
from models_registry.transfer.reference import Reference, is_host, is_loopback
from ollamamax.kernel.errors import InvalidRequest

_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


def checked_prefix(prefix: str, slug: str) -> str:
    """Raises `InvalidRequest`, also for what means something else already in the tenant with this slug."""
    if not _PREFIX.fullmatch(prefix):
        raise InvalidRequest(
            "A prefix is of small letters, digits, dots, hyphens and underscores, 64 at most, and begins and ends with a letter or digit.",
            param="prefix",
        )
    if prefix in {slug, LIBRARY}:
        raise InvalidRequest(f"Names below '{prefix}' are those of the tenant's own models.", param="prefix")
    return prefix


def checked_upstream(upstream: str) -> str:
    """``host[:port]``, perhaps with the beginning of a path. Raises `InvalidRequest`."""
    host, slash, path = upstream.partition("/")
    if not is_host(host) or (slash and not is_name(path)):
        raise InvalidRequest(
            "An upstream is a host, with its port where that is not the usual one, and perhaps the beginning of a path: registry.ollama.ai/library.",
            param="upstream",
        )
    return upstream


def there(upstream: str, repository: str, tag: str = "latest") -> Reference:
    """What a repository below the prefix is called at the upstream."""
    host, _, path = upstream.partition("/")
    namespace, _, model = f"{path}/{repository}".strip("/").rpartition("/")
    return Reference("http" if is_loopback(host) else "https", host, namespace, model, tag)


def below(prefix: str, name: str, slug: str) -> str:
    """The part of a repository's name that is below the prefix; empty for a name that is not."""
    rest = name.removeprefix(f"{slug}/")
    return rest.removeprefix(f"{prefix}/") if rest.startswith(f"{prefix}/") else ""
