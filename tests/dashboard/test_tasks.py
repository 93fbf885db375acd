"""The task that beat sends each second."""

from __future__ import annotations

from dashboard.tasks import publish_live
from ollamamax.bus import keys
from tests.dashboard.fleet import Fleet


def test_the_task_publishes_one_frame_and_may_run_again(fleet: Fleet) -> None:
    fleet.report(fleet.register("alpha"))
    publish_live()
    publish_live()
    assert fleet.client.get(keys.live_sequence(fleet.tenant)) == b"1"
