"""Measurement: what each request really used."""

from __future__ import annotations

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    name = "ollamamax.metering"
    label = "metering"
