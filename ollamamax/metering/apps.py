"""Measurement: what each request really used."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    name = "ollamamax.metering"
    label = "metering"

    def ready(self) -> None:
        importlib.import_module("ollamamax.metering.actions.budget")
        from ollamamax.audit.erasure import ELSEWHERE
        from ollamamax.identity.departure import exported
        from ollamamax.metering.actions.prompt import erase_prompts
        from ollamamax.metering.models import Budget, ModelPrice, UsageRecord

        ELSEWHERE["prompts"] = erase_prompts
        exported(
            "usage",
            lambda: UsageRecord.objects.all(),
            *("request", "key", "user", "model", "version", "node", "node_name", "api", "trace", "received_at"),
            *("prompt_tokens", "completion_tokens", "queue_ms", "first_token_ms", "duration_ms", "outcome", "error"),
            *("attempts", "priority", "cost", "currency", "status", "metadata", "cached_tokens"),
            *("charge", "charge_currency", "price", "slot_seconds", "prompt_kept"),
            *("shadow_of", "same_answer"),
        )
        exported(
            "budgets",
            lambda: Budget.objects.all(),
            *("id", "whose", "subject", "unit", "period", "most", "hard", "warn_percent", "created_at"),
        )
        exported(
            "prices",
            lambda: ModelPrice.objects.all(),
            *(
                "id",
                "model",
                "prompt_million",
                "completion_million",
                "second",
                "cached_million",
                "currency",
                "valid_from",
            ),
        )
