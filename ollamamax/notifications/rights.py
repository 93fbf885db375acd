"""Who may be told of which events."""

from __future__ import annotations

from collections.abc import Collection

from ollamamax.identity.rights import require
from ollamamax.kernel.principal import Principal
from ollamamax.notifications import events


def require_to_hear(acting: Principal, patterns: Collection[str]) -> None:
    """Raises `Forbidden` unless ``acting`` may see themselves what is told under these patterns or types. A test event tells nothing."""
    told = [each for each in patterns if each != events.TEST]
    if events.wants_audit(told):
        require(acting, "audit.view")
    if events.wants_health(told):
        require(acting, "node.view")
