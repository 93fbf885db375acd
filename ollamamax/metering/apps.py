"""Measurement: what each request really used."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    name = "ollamamax.metering"
    label = "metering"

    def ready(self) -> None:
        importlib.import_module("ollamamax.metering.actions.budget")
