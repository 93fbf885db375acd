"""Reads what is done in a tenant when a detector predicts that a node fails."""

from __future__ import annotations

from cluster.models import PredictionPolicy
from cluster.prediction.thresholds import DETECTORS


def policies() -> dict[str, str]:
    """Detector -> what is done, of the tenant in scope. Queries: 1."""
    held = dict(PredictionPolicy.objects.values_list("detector", "act"))
    return {detector: held.get(detector, PredictionPolicy.Act.PROPOSE.value) for detector in DETECTORS}
