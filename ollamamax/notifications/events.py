"""Which events there are, and which of them a webhook wants. Pure.

An event's type is the action of an audit record, such as ``key.issue``, or one of those that are about health. A webhook names
types, or all of a group as ``key.*``, or all as ``*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

EVERYTHING = "*"
TEST = "webhook.test"
OPENED, CHANGED, CLOSED = "health.opened", "health.changed", "health.closed"
HEALTH = frozenset({OPENED, CHANGED, CLOSED})

GROUPS: dict[str, tuple[str, ...]] = {
    "health": tuple(sorted(HEALTH)),
    "alias": ("alias.change", "alias.create", "alias.delete"),
    "application": (
        *("application.change", "application.create", "application.delete", "application.log_in", "application.refuse"),
        *("application.revoke_tokens", "application.rotate_secret"),
    ),
    "batch": ("batch.cancel", "batch.create"),
    "budget": ("budget.change", "budget.create", "budget.delete", "budget.refuse", "budget.spend", "budget.warn"),
    "file": ("file.create", "file.delete"),
    "grant": ("grant.end", "grant.give"),
    "incident": (
        *("incident.acknowledge", "incident.close", "incident.escalate", "incident.open", "incident.reopen"),
        *("incident.recover", "incident.recovery", "incident.silence", "incident.stop_recovery"),
    ),
    "invitation": ("invitation.accept", "invitation.create", "invitation.revoke"),
    "job": (
        *("job.cancel", "job.create", "job.delete", "job.done", "job.fail", "job.pull", "job.push", "job.retry"),
    ),
    "join_token": ("join_token.issue", "join_token.revoke"),
    "key": ("key.change", "key.issue", "key.revoke", "key.rotate"),
    "member": ("member.add", "member.change", "member.remove"),
    "model": ("model.configure", "model.copy", "model.delete", "model.replicate", "model.share"),
    "node": ("node.change", "node.cordon", "node.drain", "node.follow", "node.join", "node.remove", "node.resume"),
    "placement": ("placement.apply", "placement.step", "placement.stop"),
    "prediction": ("prediction.change",),
    "replica": ("replica.pause", "replica.resume"),
    "request": ("request.cancel", "request.prioritise", "request.refuse"),
    "role": ("role.change", "role.create", "role.delete"),
    "session": (
        *("session.end", "session.end_by_provider", "session.end_others", "session.enter_tenant", "session.log_in"),
        *("session.log_out", "session.refuse_password", "session.refuse_sso"),
    ),
    "sso": (
        *("sso.add_domain", "sso.change_provider", "sso.create_provider", "sso.delete_provider", "sso.enforce"),
        *("sso.mark_break_glass", "sso.remove_domain", "sso.unmark_break_glass", "sso.verify_domain"),
    ),
    "tenant": (
        *("tenant.change", "tenant.create", "tenant.govern", "tenant.replicate", "tenant.resume", "tenant.suspend"),
        *("tenant.ask_deletion", "tenant.keep", "tenant.delete", "tenant.export"),
    ),
    "user": ("user.activate", "user.change_password", "user.create", "user.deactivate", "user.reset_password"),
    "version": ("version.discard", "version.make", "version.publish", "version.register"),
    "webhook": ("webhook.change", "webhook.create", "webhook.delete", "webhook.disable", "webhook.redeliver", "webhook.rotate"),
}  # fmt: skip
"""What a person chooses from. A webhook may name other actions of the audit trail as well: they come when there are such records."""

_PATTERN = re.compile(r"\*|[a-z][a-z_]{0,30}\.(\*|[a-z][a-z_]{0,30})", re.ASCII)
MOST_PATTERN = 63


def is_pattern(text: str) -> bool:
    return len(text) <= MOST_PATTERN and _PATTERN.fullmatch(text) is not None


def wants(patterns: Iterable[str], event: str) -> bool:
    """Whether a webhook with these patterns is told of an event of this type."""
    group = event.partition(".")[0] + ".*"
    return any(pattern in (EVERYTHING, group, event) for pattern in patterns)


def wants_health(patterns: Iterable[str]) -> bool:
    return any(wants(patterns, event) for event in HEALTH)


def wants_audit(patterns: Iterable[str]) -> bool:
    """Whether any of the patterns can name an action of the audit trail."""
    return any(pattern == EVERYTHING or pattern.partition(".")[0] != "health" for pattern in patterns)
