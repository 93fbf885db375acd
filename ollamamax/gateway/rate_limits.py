"""The limits of key and tenant, told in the headers that each protocol's clients read. Pure.

OpenAI: https://platform.openai.com/docs/guides/rate-limits; Anthropic: https://docs.anthropic.com/en/api/rate-limits
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from cluster.dispatch.request import Level

ANTHROPIC = "/v1/messages"
"""What the paths of Anthropic's API begin with."""


def headers(levels: Iterable[Level], api: str, now: float) -> list[tuple[bytes, bytes]]:
    """Of requests and of tokens the limit that is nearest; none where none is set. ``now`` is Unix time."""
    nearest: dict[str, Level] = {}
    for level in levels:
        if level.what not in nearest or level.left < nearest[level.what].left:
            nearest[level.what] = level
    found: list[tuple[bytes, bytes]] = []
    for what, level in sorted(nearest.items()):
        if api.startswith(ANTHROPIC):
            form, reset = f"anthropic-ratelimit-{what}-{{}}", moment(now + level.seconds)
        else:
            form, reset = f"x-ratelimit-{{}}-{what}", duration(level.seconds)
        values = {"limit": str(level.most), "remaining": str(level.left), "reset": reset}
        found += [(form.format(name).encode(), value.encode()) for name, value in values.items()]
    return found


def duration(seconds: float) -> str:
    """As OpenAI writes it: ``20ms``, ``1s``, ``8.64s``, ``1m0s``."""
    milliseconds = math.ceil(max(0.0, seconds) * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:g}s"


def moment(at: float) -> str:
    """RFC 3339, in whole seconds, never too early."""
    return datetime.fromtimestamp(math.ceil(at), UTC).isoformat().replace("+00:00", "Z")
