"""``ollamamax loops``: how each control loop's last run went, and how far behind each region's directory is."""

from __future__ import annotations

import time
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError
from redis.exceptions import RedisError

from ollamamax.bus import keys, publication, regions
from ollamamax.bus.regions import Region
from ollamamax.contract.loop_state import LoopState, decode_loop_state


class Command(BaseCommand):
    help = "Print how the control loops fare."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        for region in regions.every():
            try:
                number, states = region.directory_number(), read(region)
            except RedisError as error:
                raise CommandError(f"Redis of the region '{region.name}' cannot be read: {error}") from error
            behind = publication.behind(region)
            self.stdout.write(f"region '{region.name}': directory at change {number}, {behind:.1f} s behind")
            for state in states:
                ago = max(0.0, time.time() - state.began_at)
                self.stdout.write(
                    f"  {state.loop:34} {ago:7.1f} s ago, took {state.took_ms:8.1f} ms, late by {state.behind_ms:7.1f} ms"
                    f"{', failed: ' + state.error if state.error else ''}"
                )


def read(region: Region) -> list[LoopState]:
    """Raises `RedisError`."""
    held = cast("dict[bytes, bytes]", region.client.hgetall(keys.LOOPS))
    return sorted((decode_loop_state(value) for value in held.values()), key=lambda state: state.loop)
