"""Suites, evaluations with their results, and what promotion requires."""

from ollamamax.evaluations.models.evaluation import Evaluation, EvaluationResult
from ollamamax.evaluations.models.requirement import EvaluationRequirement
from ollamamax.evaluations.models.suite import EvaluationSuite

__all__ = ["Evaluation", "EvaluationRequirement", "EvaluationResult", "EvaluationSuite"]
