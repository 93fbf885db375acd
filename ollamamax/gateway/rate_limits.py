"""The limits of key and tenant, told in the headers that each protocol's clients read. Pure.

Besides these, the fields that the IETF's draft names (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/), budgets too.
OpenAI: https://platform.openai.com/docs/guides/rate-limits; Anthropic: https://docs.anthropic.com/en/api/rate-limits
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

from cluster.dispatch.request import Level

ANTHROPIC = "/v1/messages"
"""What the paths of Anthropic's API begin with."""


def headers(levels: Iterable[Level], api: str, now: float) -> list[tuple[bytes, bytes]]:
    """Of requests, of tokens and of each kind of budget the one that is nearest; none where none is set. ``now`` is Unix time."""
    nearest: dict[str, Level] = {}
    for level in levels:
        if level.what not in nearest or level.left < nearest[level.what].left:
            nearest[level.what] = level
    found: list[tuple[bytes, bytes]] = []
    is_anthropic = api.startswith(ANTHROPIC)
    told = {"requests", "tokens", "input-tokens", "output-tokens"} if is_anthropic else {"requests", "tokens"}
    for what in sorted(nearest.keys() & told):
        level = nearest[what]
        limit, remaining, reset = _names(what, is_anthropic)
        found += (
            (limit, b"%d" % level.most),
            (remaining, b"%d" % level.left),
            (reset, (moment(now + level.seconds) if is_anthropic else duration(level.seconds)).encode()),
        )
    if nearest:
        found += (
            (
                b"ratelimit-policy",
                ", ".join(f'"{what}";q={one.most};w={one.window}' for what, one in nearest.items()).encode(),
            ),
            (
                b"ratelimit",
                ", ".join(
                    f'"{what}";r={one.left};t={math.ceil(one.seconds)}' for what, one in nearest.items()
                ).encode(),
            ),
        )
    return found


@cache
def _names(what: str, is_anthropic: bool) -> tuple[bytes, bytes, bytes]:
    form = f"anthropic-ratelimit-{what}-{{}}" if is_anthropic else f"x-ratelimit-{{}}-{what}"
    return form.format("limit").encode(), form.format("remaining").encode(), form.format("reset").encode()


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
