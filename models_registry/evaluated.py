"""What versions reached in evaluation suites, for a rollout's gate. The context above this one that has evaluations reads it."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from models_registry.models import Release
from models_registry.rollout.evaluation import SuiteScores

ScoreReader = Callable[[uuid.UUID, Release, Release | None], SuiteScores]
"""The suite's id, the new version and the old one. In the tenant's scope; queries."""
READERS: list[ScoreReader] = []


def scores_of(suite: uuid.UUID, new: Release, old: Release | None) -> SuiteScores:
    """Without a suite's name where there is no such suite, or nobody who has any."""
    found = [read(suite, new, old) for read in READERS]
    return next((each for each in found if each.suite_name), SuiteScores())
