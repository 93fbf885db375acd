"""What a node does when it is stopped or killed, and when Redis goes away and comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cluster.engines.build import EngineChoice
from ollamamax import contract
from ollamamax.bus import keys
from ollamamax.embedded import valkey
from tests.patience import LONG, wait_for
from tests.servers import free_port
from tests.worker.conftest import MakeNode, MakeStub
from tests.worker.node import Gateway, make_user


class OwnRedis:
    """A Valkey that the test may stop and start again; it forgets everything, users included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.start()

    def start(self) -> None:
        self.server = valkey.TemporaryValkey(self._folder, self._port)
        self.url = self.server.url

    def stop(self) -> None:
        if self.server.process.poll() is None:
            self.server.stop()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path / "redis")
    yield server
    server.stop()


def test_a_killed_node_ends_its_tickets_when_it_comes_back(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=2000)
    node = make_node(EngineChoice("openai", stub.url, slots=2))
    boot = node.wait_ready().boot
    gateway = Gateway(node)
    running, waiting = gateway.run(), None
    gateway.until(lambda: running.id in gateway.got and gateway.got[running.id].tokens > 2)
    node.kill()
    waiting = gateway.ticket(max_tokens=3)
    node.redis.rpush(keys.node_inbox(node.id), contract.encode_ticket(waiting))
    node.restart()
    node.wait_ready(boot)
    # The frame's number is beyond all; the resend that follows is answered with the end.
    end = gateway.wait(running, LONG).end
    assert isinstance(end, contract.Failure)
    assert (end.code, end.status) == ("node_restarted", 503)
    assert gateway.got[running.id].gaps >= 1
    # What nobody had taken is run by the new process, without a message.
    assert isinstance(gateway.wait(waiting, LONG).end, contract.Final)
    assert node.redis.llen(keys.node_claimed(node.id)) == 0
    assert node.done()[running.id]["outcome"] == "failed"


def test_sigterm_lets_running_requests_finish(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=60)
    node = make_node(EngineChoice("openai", stub.url, slots=1), grace=25)
    node.wait_ready()
    gateway = Gateway(node)
    first = gateway.run()
    gateway.until(lambda: first.id in gateway.got)
    second = gateway.ticket()
    node.redis.rpush(keys.node_inbox(node.id), contract.encode_ticket(second))
    node.process.terminate()
    assert isinstance(gateway.wait(first, LONG).end, contract.Final)
    assert node.stop() == 0
    # What it had not taken stays in the inbox, for its next start.
    assert node.redis.llen(keys.node_inbox(node.id)) == 1
    assert node.redis.llen(keys.node_claimed(node.id)) == 0
    assert node.state() is None


def test_sigterm_cancels_what_outlasts_the_grace_time(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=5000)
    node = make_node(EngineChoice("openai", stub.url, slots=1))
    node.wait_ready()
    gateway = Gateway(node)
    ticket = gateway.run()
    gateway.until(lambda: ticket.id in gateway.got)
    node.process.terminate()
    end = gateway.wait(ticket, LONG).end
    assert isinstance(end, contract.Failure)
    assert (end.code, end.status) == ("unavailable", 503)
    assert node.stop() == 0
    assert wait_for(lambda: stub.seen()["running"] == 0)


def test_a_node_lives_through_a_restart_of_redis(own_redis: OwnRedis, make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(token_ms=20, tokens=150)
    node = make_node(EngineChoice("openai", stub.url, slots=2), url=own_redis.url)
    node.wait_ready()
    gateway = Gateway(node)
    ticket = gateway.run()
    gateway.until(lambda: ticket.id in gateway.got and gateway.got[ticket.id].tokens > 5)
    own_redis.stop()
    own_redis.start()
    with contextlib.suppress(redis.exceptions.RedisError):  # where its client has not connected again by itself
        gateway.read(0.5)
    # For a while the user does not exist, as until the control plane's loop has made it again.
    make_user(node.redis, node.id, node.identity.redis_url.split(":")[2].partition("@")[0])
    gateway._listen()
    got = gateway.wait(ticket, LONG)
    assert isinstance(got.end, contract.Final)
    assert got.text == "".join(f"t{n} " for n in range(150)), "what was generated meanwhile came too"
    wait_for(lambda: node.state(), what="the state")
    # New work is taken, at first by the agent itself, later on Celery's message.
    assert isinstance(gateway.wait(gateway.run(), LONG).end, contract.Final)
    wait_for(lambda: node.redis.get(keys.node_drain(node.id)) is None)
    wait_for(lambda: node.redis.llen(keys.node_queue(node.id)) == 0, LONG, "Celery's own reconnection")

    def messages() -> int:
        return sum("Task cluster.drain_inbox" in line.get("event", "") for line in node.log_lines())

    before = messages()
    gateway.wait(gateway.run(), LONG)
    wait_for(lambda: messages() > before, what="the message's receipt")


def test_a_node_starts_before_redis_does(own_redis: OwnRedis, make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub()
    own_redis.stop()
    own_redis.start()
    node = make_node(EngineChoice("openai", stub.url), url=own_redis.url)
    password = node.identity.redis_url.split(":")[2].partition("@")[0]
    own_redis.stop()
    node.kill()
    node.restart()
    wait_for(lambda: any(line.get("event") == "state_waits_for_redis" for line in node.log_lines()), LONG)
    own_redis.start()
    make_user(node.redis, node.id, password)
    node.wait_ready()
    gateway = Gateway(node)
    assert isinstance(gateway.wait(gateway.run(), LONG).end, contract.Final)


def test_an_engine_that_is_away_is_reported(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub()
    node = make_node(EngineChoice("openai", stub.url))
    wait_for(lambda: (s := node.state()) is not None and s.engines[0].healthy, LONG)
    stub.stop()
    wait_for(lambda: (s := node.state()) is not None and not s.engines[0].healthy)
    state = node.wait_ready()
    assert "cannot be reached" in (state.engines[0].error or "")
    assert state.models == []
    gateway = Gateway(node)
    end = gateway.wait(gateway.run()).end
    assert isinstance(end, contract.Failure)
    assert (end.code, end.status) == ("engine_crashed", 502)


def test_a_ticket_whose_claim_was_never_answered_is_run(make_stub: MakeStub, make_node: MakeNode) -> None:
    stub = make_stub(tokens=3)
    node = make_node(EngineChoice("openai", stub.url, slots=2))
    node.wait_ready()
    gateway = Gateway(node)
    assert isinstance(gateway.wait(gateway.run(), LONG).end, contract.Final)
    # Redis moved it, and the answer was lost with its connection.
    ticket = gateway.ticket()
    node.redis.rpush(keys.node_claimed(node.id), contract.encode_ticket(ticket))
    assert isinstance(gateway.wait(ticket, LONG).end, contract.Final)
    wait_for(lambda: node.redis.llen(keys.node_claimed(node.id)) == 0)
