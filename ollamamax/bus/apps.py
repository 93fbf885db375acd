"""What is known of publications and of the control loops, in Postgres."""

from __future__ import annotations

from django.apps import AppConfig


class BusConfig(AppConfig):
    name = "ollamamax.bus"
    label = "bus"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ollamamax.bus import pool_measuring  # noqa: F401 - which is asked from then on
