"""Nodes have pieces of each other: whole, from the control plane about once, and whatever one of them does to the others."""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from models_registry.peers import tickets
from models_registry.peers.authority import PeerAuthority
from models_registry.worker import swarm as swarms
from models_registry.worker.peer_client import PeerClient
from models_registry.worker.peer_server import bitmap, contexts, numbers_in
from models_registry.worker.pieces import PieceFile
from models_registry.worker.swarm import PeerFailed, SwarmFailed, order_of
from ollamamax.contract.peers import MOST_PIECES, BlobPeer, PeerTicket, piece_size
from tests.worker.peers import AUTHORITY, PeerNode, Registry, source_of

PIECE = 16 << 10
DATA = os.urandom(40 * PIECE + 123)
Nodes = Callable[[int], Awaitable[list[PeerNode]]]


@pytest.fixture
def registry() -> Registry:
    return Registry(DATA, PIECE)


@pytest.fixture
async def nodes(tmp_path: Path, registry: Registry) -> AsyncIterator[Nodes]:
    made: list[PeerNode] = []

    async def make(count: int) -> list[PeerNode]:
        fresh = [PeerNode(f"n{len(made) + number}", tmp_path, registry) for number in range(count)]
        made.extend(fresh)
        for node in fresh:
            await node.start()
        return fresh

    yield make
    for node in made:
        await node.close()


async def test_all_have_it_whole_and_the_control_plane_gave_it_about_once(nodes: Nodes, registry: Registry) -> None:
    some = await nodes(5)
    await asyncio.gather(*(node.fetch(some, patience=20.0) for node in some))
    assert all(node.has_it() for node in some)
    assert registry.bytes_given <= 1.2 * len(DATA)
    assert sum(node.server.bytes_given for node in some) >= 3.5 * len(DATA)


async def test_who_comes_later_has_it_from_those_that_have_it(nodes: Nodes, registry: Registry) -> None:
    first, late = await nodes(2)
    await first.fetch([])
    given = registry.bytes_given
    await late.fetch([first])
    assert late.has_it()
    assert registry.bytes_given == given


class _Liar:
    """Says that it has all, and sends something else."""

    def __init__(self, node: PeerNode, data: bytes) -> None:
        self.count, self._data = node.file.count, data
        self.have = set(range(self.count))

    def get(self, number: int) -> bytes:
        return self._data


@pytest.mark.parametrize("lie", [b"", b"x" * PIECE, b"x" * (5 * PIECE)], ids=["nothing", "wrong", "too much"])
async def test_a_node_that_lies_is_found_out_by_its_first_piece_and_costs_nobody_the_blob(
    nodes: Nodes, registry: Registry, lie: bytes
) -> None:
    liar, honest = await nodes(2)
    liar.whole = True
    liar.server._offered = lambda digest: _Liar(liar, lie)
    await honest.fetch([liar])
    assert honest.has_it()
    assert honest.swarm is not None
    assert honest.swarm.bytes_of_peers == 0
    assert liar.server.bytes_given <= swarms.AT_ONCE * len(lie)


class _Withheld(set[int]):
    """Has all, by what it tells, and none when it is asked for one."""

    asked = 0

    def __contains__(self, number: object) -> bool:
        self.asked += 1
        return False


async def test_a_node_that_has_all_and_gives_nothing_is_left_alone(nodes: Nodes, registry: Registry) -> None:
    miser, honest = await nodes(2)
    miser.whole = True
    miser.file.have = held = _Withheld(range(miser.file.count))
    await honest.fetch([miser])
    assert honest.has_it()
    assert held.asked <= swarms.AT_ONCE


async def test_a_node_that_stalls_or_is_gone_costs_no_more_than_patience(
    nodes: Nodes, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models_registry.worker.peer_client.SILENT_SECONDS", 0.3)
    stalls, gone, honest = await nodes(3)
    silent = asyncio.Event()

    async def never(request: object) -> None:
        await silent.wait()

    stalls.server._throttle.take = never  # type: ignore[method-assign,assignment]
    await stalls.file.open()
    for number in range(stalls.file.count):
        await stalls.file.put(number, await registry.get(number))
    stalls.whole = True
    await gone.close()
    await honest.fetch([stalls, gone], patience=0.1)
    assert honest.has_it()
    silent.set()


async def test_without_a_ticket_for_it_nobody_learns_anything(nodes: Nodes, registry: Registry, tmp_path: Path) -> None:
    has, asking, third = await nodes(3)
    await has.fetch([])
    client = PeerClient(asking.digest, asking.file, asking.client_context)
    good = has.as_peer_of(asking.id)
    assert len((await client.ask(good, 0))[0]) == PIECE
    now = time.time()
    other = "sha256:" + "0" * 64

    def ticket(**changes: object) -> str:
        usual = {"asking": asking.id, "giving": has.id, "digest": has.digest, "until": now + 60}
        return tickets.seal(AUTHORITY.ticket_key(has.id), PeerTicket(**{**usual, **changes}))  # type: ignore[arg-type]

    refused = [
        "",
        "x" * 2000,
        good.ticket[:-4] + "AAAA",
        third.as_peer_of(asking.id).ticket,
        has.as_peer_of(third.id).ticket,
        ticket(digest=other),
        ticket(until=now - 3600),
        tickets.seal(b"k" * 32, PeerTicket(asking.id, has.id, has.digest, now + 60)),
    ]
    for text in refused:
        with pytest.raises(PeerFailed, match="403"):
            await client.ask(BlobPeer(has.id, "127.0.0.1", has.server.port, text), 0)
    # With a ticket for another blob, whether that one is here is not told to who has none for it.
    with pytest.raises(PeerFailed, match="403"):
        await client._get(good, f"/pieces/{other}", 0)
    await client.close()
    # A certificate of another authority does not even get as far, on either side.
    stranger = PeerAuthority("another secret").issue(asking.id, datetime.datetime.now(datetime.UTC))
    _, context = contexts(stranger, tmp_path)
    for bad in (context,):
        client = PeerClient(asking.digest, asking.file, bad)
        with pytest.raises(PeerFailed):
            await client.ask(good, 0)
        await client.close()
    # And who shows the certificate of another node than the one that was meant is not asked.
    client = PeerClient(asking.digest, asking.file, asking.client_context)
    with pytest.raises(PeerFailed):
        await client.ask(BlobPeer(third.id, "127.0.0.1", has.server.port, good.ticket), 0)
    await client.close()


async def test_wrong_bytes_of_the_control_plane_are_not_kept(nodes: Nodes, registry: Registry) -> None:
    (node,) = await nodes(1)
    registry.data = b"x" * len(DATA)
    with pytest.raises(ExceptionGroup) as failed:
        await node.fetch([])
    assert failed.group_contains(SwarmFailed, match="not those of that digest")
    assert not node.file.have


async def test_after_a_crash_at_any_point_what_was_there_is_not_had_again(nodes: Nodes, registry: Registry) -> None:
    (node,) = await nodes(1)
    dice = random.Random(7)
    for _ in range(5):
        before = len(registry.asked)
        task = asyncio.create_task(node.fetch([]))
        enough = before + dice.randint(1, 5)
        while len(registry.asked) < enough and not task.done():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        # A piece that was half written is none.
        with node.file.path.open("r+b") as file:
            file.seek(dice.randrange(len(DATA)))
            file.write(b"torn")
        there = PieceFile(node.folder, node.digest, source_of(DATA, PIECE))
        await there.open()
        assert all(there.get(number) == DATA[number * PIECE : (number + 1) * PIECE] for number in there.have)
        node.file = there
    asked = set(registry.asked)
    kept = set(node.file.have)
    registry.asked.clear()
    await node.fetch([])
    assert node.has_it()
    assert not kept & set(registry.asked)
    assert asked


def test_what_others_say_they_have_is_read_as_it_was_written_or_not_at_all() -> None:
    for count in (1, 7, 8, 9, MOST_PIECES):
        have = set(range(0, count, 3))
        assert numbers_in(bitmap(have, count), count) == have
    for text in ("", "!", "A" * 10_000, bitmap({1}, 100), "é"):
        assert numbers_in(text, 9) == set()


def test_pieces_are_few_and_each_has_an_order_of_nodes_that_all_agree_on() -> None:
    for size in (1, 1 << 20, 5 << 30, 130 << 30, 2 << 40):
        assert -(-size // piece_size(size)) <= MOST_PIECES
    names = [f"n{number}" for number in range(50)]
    firsts = [order_of(number, random.sample(names, 50))[0] for number in range(2000)]
    assert firsts == [order_of(number, names)[0] for number in range(2000)]
    assert max(firsts.count(name) for name in names) < 80
