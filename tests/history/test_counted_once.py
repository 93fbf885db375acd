"""What ended is written into the history once, whatever breaks between the gateway that counts and the loop that writes; and beside liars."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.conf import settings as django
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.actions.history import fold_history
from cluster.dispatch.tally import EndedTally
from cluster.fleet_watch import FleetWatch
from cluster.health.judge import MOST_FINDINGS
from cluster.history.recorder import Recorder, node_series, tenant_series
from cluster.models import HistoryRow
from ollamamax.bus import keys, regions
from ollamamax.bus.connect import connect_async
from ollamamax.contract import Gpu
from ollamamax.contract.health import FleetHealth
from ollamamax.contract.history import HOUR, CountedStep, Gauges, unpack
from ollamamax.contract.measured import Ended, EndedBatch, decode_ended, encode_ended
from ollamamax.identity.scope import every_tenant
from tests.cast import Person
from tests.cluster.conftest import Join, join, says
from tests.health.fleet import Looks, node_id, seen

__all__ = ["join"]

NOON = 1_790_000_000 // HOUR * HOUR
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LARGE = st.sampled_from([0, 1, 2**31, 2**53, 2**62, 2**63 - 1])
ANY_FLOAT = st.floats() | st.sampled_from([-1e308, 1e308, 2.0**63, 0.0])


class Killed(Exception):
    """Stands for a kill at this point."""


class KilledAt:
    """A check that ends the look at the ``number``-th call, as a kill or another leader does."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def counted(valkey: redis.Redis, series: str) -> int:
    entries = unpack(valkey.get(keys.history(NOON // HOUR, series)) or b"")
    return sum(each.ok for each in entries if isinstance(each, CountedStep))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", range(3))
def test_a_look_that_is_ended_half_way_loses_and_doubles_nothing(
    owner: Person, join: Join, valkey: redis.Redis, point: int
) -> None:
    joined = join(owner)
    tenant, node = joined.node.tenant_id.hex, joined.node.id.hex
    says(valkey, joined)
    valkey.rpush(keys.ENDED, encode_ended(EndedBatch(float(NOON), [Ended(tenant, "m:latest", node, ok=3)])))
    try:
        FleetWatch().look(valkey, now=NOON + 1, check=KilledAt(point))
    except Killed:
        assert counted(valkey, node_series(node)) == 0
    valkey.rpush(keys.ENDED, encode_ended(EndedBatch(NOON + 6.0, [Ended(tenant, "m:latest", node, ok=4)])))
    other = FleetWatch()
    for second in (11, 16, 21):
        other.look(valkey, now=NOON + second)
    assert counted(valkey, node_series(node)) == 7
    assert valkey.exists(keys.ENDED, keys.ENDED_TAKEN) == 0


async def test_a_batch_that_redis_took_without_an_answer_is_not_taken_again(valkey: redis.Redis) -> None:
    tally = EndedTally()

    async def write(*, answered: bool) -> None:
        taken = tally.take()
        async with connect_async(django.REDIS_URL) as client, client.pipeline(transaction=False) as pipe:
            tally.write(pipe, taken)
            await pipe.execute()
        if not answered:
            tally.put_back(taken)

    for number, answered in enumerate([False, False, True, True, False, True]):
        tally.fold(Ended("t", "m", "n", ok=10**number))
        await write(answered=answered)
    await write(answered=True)
    batches = [decode_ended(each) for each in valkey.lrange(keys.ENDED, 0, -1)]
    assert sum(ended.ok for batch in batches for ended in batch.ended) == 111_111


@QUICK
@given(
    speed=ANY_FLOAT, tokens=LARGE, heat=ANY_FLOAT, power=ANY_FLOAT, used=LARGE, total=LARGE, cards=st.integers(0, 300)
)
def test_what_a_node_says_of_itself_hides_nothing_of_the_node_beside_it(
    valkey: redis.Redis, speed: float, tokens: int, heat: float, power: float, used: int, total: int, cards: int
) -> None:
    valkey.flushdb()
    card = Gpu(0, "x", heat, used, total, heat, power)
    lies: dict[str, Any] = {"tokens_per_second": speed, "cpu_percent": heat, "gpus": [card] * cards}
    recorder = Recorder()
    reports: dict[str, FleetHealth] = {}
    for second in (0, 10, 20):
        liar = seen(1, second, **lies, tokens_total=tokens * second, memory_used=used, memory_total=total)
        recorder.put(valkey, NOON + second, [liar, seen(2, second)], reports, [], keys.ENDED_TAKEN)
    honest = unpack(valkey.get(keys.history(NOON // HOUR, node_series(node_id(2)))) or b"")
    assert [each.values[3] for each in honest if isinstance(each, Gauges)] == [400, 400, 400]
    assert valkey.strlen(keys.history(NOON // HOUR, node_series(node_id(1)))) < 10_000


def test_a_node_with_endless_faults_does_not_fill_the_report() -> None:
    looks = Looks()

    def cards(second: float) -> list[Any]:
        ill = [Gpu(number, "x" * 40, 90.0, 1, 16, 120.0, 65.0, 5, remap_failed=True) for number in range(500)]
        return [seen(1, second, gpus=ill), seen(2, second, gpus=[Gpu(0, "T4", 90.0, 1, 16, 120.0, 65.0, 5)])]

    report = looks.last(cards, 60)
    assert len(report.nodes[node_id(1)].findings) == MOST_FINDINGS
    assert report.nodes[node_id(2)].findings


@pytest.mark.django_db(transaction=True)
def test_a_series_of_nobody_keeps_no_other_from_being_taken_over(
    owner: Person, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    tenant, node = joined.node.tenant_id.hex, joined.node.id.hex
    says(valkey, joined)
    FleetWatch().look(valkey, now=float(NOON))
    names = keys.history_series(NOON // HOUR)
    valkey.hset(names, mapping={b"n:\xff": b"\xff", b"n:x": b"nobody", b"": b""})
    assert fold_history(regions.own(), now=NOON + 2 * HOUR) >= 2
    with every_tenant():
        found = set(HistoryRow.objects.filter(step=60).values_list("series", flat=True))
    assert {node_series(node), tenant_series(tenant)} <= found
    assert valkey.hlen(names) == 0
