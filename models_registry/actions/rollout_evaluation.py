"""Looks at a rollout's gate `evaluation`: what both versions reached is kept with its progress, and each change among its events."""

from __future__ import annotations

from typing import Any

from models_registry.evaluated import scores_of
from models_registry.models import Channel, Release
from models_registry.rollout.evaluation import seen
from models_registry.rollout.plan import RolloutGates, RolloutProgress


def look(progress: RolloutProgress, gates: RolloutGates, channel: Channel, new: Release, old_version: str) -> str:
    """Up to four queries where there is such a gate, none else. Returns what to note, where it says another thing than before; else nothing."""
    gate, before = gates.evaluation, progress.evaluation
    if gate is None:
        return ""
    old = Release.objects.filter(model_id=channel.model_id, version__digest=old_version).first()
    progress.evaluation = seen(gate, scores_of(gate.suite, new, old))
    if before is not None and before.why == progress.evaluation.why:
        return ""
    return f"gate evaluation {progress.evaluation.state}: {progress.evaluation.why}"


def evaluation_detail(progress: RolloutProgress, gates: RolloutGates) -> dict[str, Any]:
    """For the audit: what was asked for, and what was there."""
    gate, found = gates.evaluation, progress.evaluation
    if gate is None:
        return {}
    return {
        "evaluation": {
            "suite": gate.suite.hex,
            "suite_name": found.scores.suite_name if found is not None else "",
            "least_score": gate.least_score,
            "margin": gate.margin,
            "from_share": gate.from_share,
            "state": found.state if found is not None else "waiting",
            "new": found.scores.new.score if found is not None and found.scores.new is not None else None,
            "old": found.scores.old.score if found is not None and found.scores.old is not None else None,
        }
    }
