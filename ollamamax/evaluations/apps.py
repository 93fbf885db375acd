"""Evaluations: suites of prompts with checks, run against one version of a model, and what promotion asks of them."""

from __future__ import annotations

from django.apps import AppConfig


class EvaluationsConfig(AppConfig):
    name = "ollamamax.evaluations"

    def ready(self) -> None:
        from models_registry.evaluated import READERS
        from models_registry.promotion_needs import NEEDS
        from ollamamax.evaluations.queries.evaluation import scores_in_suite
        from ollamamax.evaluations.queries.requirement import unmet_requirements

        NEEDS.append(unmet_requirements)
        READERS.append(scores_in_suite)
