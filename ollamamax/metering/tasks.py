"""Doors for the ticks of metering."""

from __future__ import annotations

from celery import shared_task

from ollamamax.metering import actions


@shared_task(name="metering.write_usage")
def write_usage() -> None:
    actions.write_usage()


@shared_task(name="metering.keep_usage")
def keep_usage() -> None:
    actions.keep_usage()
