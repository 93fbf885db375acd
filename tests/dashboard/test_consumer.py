"""The live socket: who may enter, what they may subscribe to, what comes, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import redis
import redis.asyncio
from channels.db import database_sync_to_async
from channels.layers import channel_layers, get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard import callers, consumers, hub, messages
from dashboard.consumers import LiveConsumer
from dashboard.routing import websocket
from dashboard.topics import TOPICS
from ollamamax.bus import keys
from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import KEYS
from ollamamax.identity.actions.key import issue_key, revoke_key
from ollamamax.identity.actions.member import change_member, remove_member
from ollamamax.identity.actions.session import log_out
from ollamamax.identity.actions.tenant import set_tenant_suspended
from ollamamax.identity.actions.user import change_password, set_user_active
from ollamamax.identity.models import Membership, User
from ollamamax.identity.scope import every_tenant
from ollamamax.sso.actions.provider import create_provider
from tests import cast
from tests.dashboard.conftest import publish
from tests.dashboard.fleet import Fleet
from tests.patience import LONG
from tests.provisioning.conftest import directory_for
from tests.sso.conftest import own_domain

pytestmark = pytest.mark.django_db(transaction=True)

Connect = Callable[..., Any]
LOOKING = ("fleet", "nodes", "requests")


@pytest_asyncio.fixture
async def connect(client: redis.Redis) -> AsyncIterator[Connect]:
    """Opens the socket with somebody's session cookie or key, and subscribes; every socket is closed after the test."""
    channel_layers.backends.clear()
    opened = []
    directories: list[Directory] = []

    async def directory() -> Directory:
        if not directories:
            directories.append(Directory(django_settings.REDIS_URL, [KEYS]))
        return await directories[0].ready()

    async def open_(
        person: cast.Person | None = None,
        *,
        origin: str | None = "http://localhost",
        key: str = "",
        topics: Any = LOOKING,
    ) -> WebsocketCommunicator:
        headers = [(b"host", b"localhost")]
        if origin is not None:
            headers.append((b"origin", origin.encode()))
        if key:
            headers.append((b"authorization", f"Bearer {key}".encode()))
        if person is not None:
            browser = await database_sync_to_async(cast.logged_in)(person)
            headers.append((b"cookie", f"sessionid={browser.cookies['sessionid'].value}".encode()))
        socket = WebsocketCommunicator(websocket(directory), "/ws/live/", headers=headers)
        connected, _ = await socket.connect(timeout=LONG)
        socket.entered = connected
        opened.append(socket)
        if connected and (person is not None or key):
            for topic in topics:
                await socket.send_to(json.dumps({"type": "subscribe", "topic": topic}))
        return socket

    yield open_
    for socket in opened:
        await socket.disconnect()
    await hub.stop_hub()
    for each in directories:
        await each.stop()
    await get_channel_layer().flush()
    channel_layers.backends.clear()


@pytest.fixture
def fleet(client: Any, owner: cast.Person) -> Fleet:
    return Fleet(client, owner.tenant.id.hex)


async def _message(socket: WebsocketCommunicator) -> dict[str, Any]:
    """The next, but for signs of life."""
    while True:
        message: dict[str, Any] = json.loads(await socket.receive_from(timeout=LONG))
        if message["type"] != "alive":
            return message


async def _of(socket: WebsocketCommunicator, kind: str, topic: str = "") -> dict[str, Any]:
    """The next of this kind, and topic; what comes before is skipped."""
    while True:
        message = await _message(socket)
        if message["type"] == kind and topic in {"", message.get("topic")}:
            return message


async def _ask(socket: WebsocketCommunicator, **message: Any) -> None:
    await socket.send_to(json.dumps(message))


async def _closed(socket: WebsocketCommunicator, seconds: float = LONG) -> int:
    """The code it is closed with; what comes before is skipped."""
    while True:
        output = await socket.receive_output(timeout=seconds)
        if output["type"] == "websocket.close":
            code: int = output["code"]
            return code


_OF_A_TENANT = set(TOPICS) - {"system"}
"""All but what the operator alone is told."""


async def test_who_enters_is_told_their_topics_and_each_begins_with_what_is_there(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    fleet.report(node)
    await publish(aclient)
    socket = await connect(owner, topics=())
    welcome = await _message(socket)
    assert (welcome["type"], welcome["tenant"], set(welcome["topics"])) == ("welcome", fleet.tenant, _OF_A_TENANT)
    await _ask(socket, type="subscribe", topic="nodes", id="mine")
    first = await _message(socket)
    assert (first["type"], first["id"], first["topic"], first["reason"]) == ("snapshot", "mine", "nodes", "subscribed")
    assert [row["name"] for row in first["data"]["nodes"]] == ["alpha"]
    last = first["seq"]
    for running in (2, 3):
        fleet.report(node, running=running)
        await publish(aclient)
        event = await _message(socket)
        assert (event["type"], event["since"], event["seq"]) == ("event", last, last + 1)
        assert event["data"]["changed"] == {node: {"running": running}}
        last = event["seq"]


async def test_who_comes_back_is_told_what_they_missed_if_it_is_held_and_else_all_of_it(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    fleet.report(node)
    await publish(aclient)
    socket = await connect(owner, topics=["nodes"])
    seq = (await _of(socket, "snapshot"))["seq"]
    for running in (2, 3, 4):
        fleet.report(node, running=running)
        await publish(aclient)
    await _ask(socket, type="subscribe", topic="nodes", id="back", after=seq)
    while (event := await _message(socket))["id"] != "back":
        pass
    assert (event["type"], event["since"], event["seq"]) == ("event", seq, seq + 3)
    assert event["data"]["changed"] == {node: {"running": 4}}, "folded into one"
    for unknown in (seq - 1000, seq + 1000):
        await _ask(socket, type="subscribe", topic="nodes", id=f"at-{unknown}", after=max(0, unknown))
        while (found := await _message(socket))["id"] != f"at-{unknown}":
            pass
        assert found["type"] == "snapshot"


async def test_a_slow_reader_is_told_the_newest_in_one_event_and_is_told_so(
    owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And beyond what is held, of everything anew; nothing is kept for it meanwhile."""
    node = fleet.register("alpha")
    fleet.report(node, running=0)
    await publish(aclient)
    async with _raw(owner, monkeypatch, [{"type": "subscribe", "topic": "nodes"}]) as raw:
        first = await raw.until("snapshot")
        raw.takes.clear()
        for running in range(1, 5):
            fleet.report(node, running=running)
            await publish(aclient)
        (feed,) = hub.hub()._feeds.values()
        await raw.heard(lambda: feed.number == first["seq"] + 4)
        raw.takes.set()
        event = await raw.until("event")
        if event["seq"] == first["seq"] + 1:  # it was on its way when the reader stopped
            event = await raw.until("event")
        assert event["seq"] == first["seq"] + 4
        assert event["data"]["changed"] == {node: {"running": 4}}
        raw.takes.clear()
        for running in range(40):
            fleet.report(node, running=running + 10)
            await publish(aclient)
        await raw.heard(lambda: feed.number == event["seq"] + 40)
        assert len(feed._held) == TOPICS["nodes"].held
        raw.takes.set()
        snapshot = await raw.until("snapshot")
        assert (snapshot["reason"], snapshot["seq"]) == ("behind", event["seq"] + 40)
        assert snapshot["data"]["nodes"][0]["running"] == 49


async def test_nodes_can_be_chosen_and_limited_and_one_can_be_watched_whole(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    nodes = {name: fleet.register(name) for name in ("alpha", "beta", "gamma")}
    for node in nodes.values():
        fleet.report(node)
    await publish(aclient)
    socket = await connect(owner, topics=())
    await _ask(socket, type="subscribe", topic="nodes", id="two", limit=2)
    two = await _of(socket, "snapshot")
    assert ([row["name"] for row in two["data"]["nodes"]], two["data"]["total"]) == (["alpha", "beta"], 3)
    await _ask(socket, type="subscribe", topic="node", ids=[nodes["gamma"]])
    whole = await _of(socket, "snapshot", "node")
    assert whole["data"]["nodes"][0]["state"]["cpu_percent"] == 37.5
    for name in nodes:
        fleet.report(nodes[name], running=3)
    await publish(aclient)
    event = await _of(socket, "event", "nodes")
    assert set(event["data"]["changed"]) == {nodes["alpha"], nodes["beta"]}
    event = await _of(socket, "event", "node")
    assert [node["state"]["running"] for node in event["data"]["nodes"]] == [3]
    fleet.forget(nodes["alpha"])
    await publish(aclient)
    two = await _of(socket, "snapshot", "nodes")
    assert [row["name"] for row in two["data"]["nodes"]] == ["beta", "gamma"]


async def test_keys_audit_and_jobs_are_told_as_they_happen(connect: Connect, owner: cast.Person, fleet: Fleet) -> None:
    socket = await connect(owner, topics=["keys", "audit", "jobs"])
    first = {topic: await _of(socket, "snapshot", topic) for topic in ("keys", "audit", "jobs")}
    assert first["keys"]["data"]["entries"] == []
    before = first["audit"]["data"]["entries"][0]["number"]
    assert first["audit"]["seq"] == before
    key, text = await database_sync_to_async(issue_key)(acting=owner.acting, name="new")
    event = await _of(socket, "event", "keys")
    assert [(each["action"], each["target_id"]) for each in event["data"]["entries"]] == [("key.issue", key.id.hex)]
    assert (event["since"], event["seq"]) == (before, before + 1)
    assert text not in json.dumps(event)
    # Who comes back with the number of then is told what was missed, of Postgres.
    await _ask(socket, type="subscribe", topic="audit", id="back", after=before)
    while (missed := await _message(socket))["id"] != "back":
        pass
    assert (missed["type"], [each["number"] for each in missed["data"]["entries"]]) == ("event", [before + 1])


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_a_role_may_subscribe_to_what_its_permissions_cover_and_to_nothing_else(
    role: str, connect: Connect, fleet: Fleet, request: pytest.FixtureRequest
) -> None:
    person = await database_sync_to_async(request.getfixturevalue)(role)
    socket = await connect(person, topics=())
    assert set((await _message(socket))["topics"]) == _OF_A_TENANT - {"audit"}
    await _ask(socket, type="subscribe", topic="audit")
    refused = await _message(socket)
    assert (refused["type"], refused["code"]) == ("error", "forbidden")
    await _ask(socket, type="subscribe", topic="fleet")
    assert (await _message(socket))["type"] == "snapshot"


async def test_a_stranger_is_told_of_their_own_tenant_only(
    connect: Connect, stranger: cast.Person, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("secret")
    fleet.report(node)
    fleet.admit(node, "secret", model="secret")
    await publish(aclient)
    socket = await connect(stranger, topics=[*(_OF_A_TENANT - {"node"})])
    await _ask(socket, type="subscribe", topic="node", ids=[node])
    told: list[dict[str, Any]] = []
    while len([each for each in told if each["type"] == "snapshot"]) < len(_OF_A_TENANT):
        told.append(await _message(socket))
    await database_sync_to_async(issue_key)(acting=owner.acting, name="secret")
    fleet.report(node, running=4)
    await publish(aclient)
    told.append(await _of(socket, "event", "fleet"))
    assert told[-1]["data"]["points"][0]["nodes"] == 0
    text = (
        json.dumps([each for each in told if each["topic"] != "node"])
        if told[0]["type"] != "welcome"
        else json.dumps([each for each in told[1:] if each["topic"] != "node"])
    )
    assert "secret" not in text
    assert node not in text
    details = next(each for each in told if each.get("topic") == "node")
    assert details["data"] == {"nodes": [], "gone": [node]}


async def test_nobody_in_particular_is_refused(connect: Connect, fleet: Fleet) -> None:
    socket = await connect(None)
    assert await _closed(socket) == consumers.UNAUTHENTICATED
    assert fleet.client.keys("omx:channels:group:*") == []


async def test_a_user_without_membership_is_refused(connect: Connect, member: cast.Person, fleet: Fleet) -> None:
    await _unjoin(member)
    socket = await connect(member)
    assert await _closed(socket) == consumers.FORBIDDEN
    assert fleet.client.keys("omx:channels:group:*") == []


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:9999", "https://localhost", ""])
async def test_another_sites_page_cannot_connect(connect: Connect, owner: cast.Person, origin: str) -> None:
    socket = await connect(owner, origin=origin)
    assert not socket.entered


async def test_a_key_opens_the_socket_of_its_tenant_and_its_end_closes_it_within_a_second(
    connect: Connect, owner: cast.Person, fleet: Fleet
) -> None:
    made = await database_sync_to_async(cast.make_key)(owner, permissions=["usage.view", "key.view"])
    socket = await connect(key=made.text, origin=None, topics=["requests", "keys"])
    assert (await _message(socket))["topics"] == ["requests", "queue", "keys"]
    await _of(socket, "snapshot", "keys")
    await database_sync_to_async(revoke_key)(acting=owner.acting, key_id=made.row.id)
    told = time.monotonic()
    assert await _closed(socket) == consumers.UNAUTHENTICATED
    assert callers.KeyCaller.recheck_seconds < 1.0 <= LONG
    assert time.monotonic() - told < LONG


async def test_a_key_that_is_not_good_opens_nothing_even_beside_a_good_session(
    connect: Connect, owner: cast.Person, fleet: Fleet
) -> None:
    for wrong in ("omx_" + "a" * 16 + "_" + "b" * 43, "nonsense"):
        socket = await connect(owner, key=wrong, topics=())
        assert await _closed(socket) == consumers.UNAUTHENTICATED


async def test_rights_that_are_taken_end_those_topics_at_once_and_no_others(
    connect: Connect, owner: cast.Person, member: cast.Person, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told, not found out: by themselves sockets would look long after this test."""
    monkeypatch.setattr(callers.SessionCaller, "recheck_seconds", 600.0)
    socket = await connect(member, topics=["nodes", "requests"])
    await _of(socket, "snapshot", "nodes")
    await _of(socket, "snapshot", "requests")
    change = database_sync_to_async(change_member)
    await change(acting=owner.acting, tenant=owner.tenant, user_id=member.user.id, role="billing")
    ended = await _of(socket, "ended")
    assert (ended["topic"], ended["code"]) == ("nodes", "forbidden")
    assert (await _of(socket, "welcome"))["topics"] == ["requests", "queue"]
    await _ask(socket, type="subscribe", topic="nodes")
    assert (await _of(socket, "error"))["code"] == "forbidden"


# What a client may send.


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("x" * (messages.MOST_BYTES + 1), consumers.TOO_LONG),
        ("é" * (messages.MOST_BYTES // 2 + 1), consumers.TOO_LONG),
    ],
)
async def test_a_message_that_is_too_long_ends_the_socket(
    connect: Connect, owner: cast.Person, fleet: Fleet, sent: str, code: int
) -> None:
    socket = await connect(owner, topics=())
    await socket.send_to(sent)
    assert await _closed(socket) == code


async def test_bytes_end_the_socket_and_so_do_too_many_messages(
    connect: Connect, owner: cast.Person, fleet: Fleet
) -> None:
    socket = await connect(owner, topics=())
    await socket.send_to(bytes_data=b"\x00")
    assert await _closed(socket) == consumers.TOO_LONG
    socket = await connect(owner, topics=())
    for _ in range(messages.MESSAGES_AT_ONCE * 3):
        await _ask(socket, type="unsubscribe", id="none")
    assert await _closed(socket) == consumers.TOO_MUCH


async def test_a_socket_has_so_many_subscriptions_and_no_more(
    connect: Connect, owner: cast.Person, fleet: Fleet
) -> None:
    socket = await connect(owner, topics=())
    for number in range(messages.MOST_SUBSCRIPTIONS + 1):
        await _ask(socket, type="subscribe", topic="queue", id=str(number))
    assert (await _of(socket, "error"))["code"] == "too_many_subscriptions"
    await _ask(socket, type="unsubscribe", id="0")
    await _of(socket, "ended")
    await _ask(socket, type="subscribe", topic="queue", id="another")
    while (await _of(socket, "snapshot"))["id"] != "another":
        pass


async def test_one_person_has_so_many_sockets_in_a_process_and_no_more(
    connect: Connect, owner: cast.Person, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "MOST_SOCKETS", 2)
    first, _ = await connect(owner), await connect(owner)
    assert await _closed(await connect(owner)) == consumers.TOO_MUCH
    await first.disconnect()
    assert (await _message(await connect(owner)))["type"] == "welcome"


WRONG = [
    {"type": "subscribe"},
    {"type": "subscribe", "topic": "nothing"},
    {"type": "subscribe", "topic": "fleet", "ids": ["a"]},
    {"type": "subscribe", "topic": "node"},
    {"type": "subscribe", "topic": "node", "limit": 1},
    {"type": "subscribe", "topic": "nodes", "ids": ["a"] * 51},
    {"type": "subscribe", "topic": "nodes", "limit": 0},
    {"type": "subscribe", "topic": "nodes", "id": ""},
    {"type": "subscribe", "topic": "nodes", "after": -1},
    {"type": "subscribe", "topic": "nodes", "more": 1},
    {"type": "hello"},
    [],
    "text",
]


async def test_what_makes_no_sense_is_answered_and_the_socket_stays(
    connect: Connect, owner: cast.Person, fleet: Fleet
) -> None:
    socket = await connect(owner, topics=())
    await _of(socket, "welcome")
    for wrong in WRONG:
        await socket.send_to(json.dumps(wrong))
        assert (await _message(socket))["code"] in {"invalid_message", "unknown_topic"}, wrong
    await socket.send_to("[" * 2000)
    assert (await _message(socket))["code"] == "invalid_message"
    await _ask(socket, type="subscribe", topic="fleet")
    assert (await _message(socket))["type"] == "snapshot"


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda data: data.decode("latin-1"))))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_is_more_than_refused(text: str) -> None:
    with contextlib.suppress(msgspec.MsgspecError):
        messages.decode(text)


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers.SessionCaller, "recheck_seconds", 0.05)


@pytest.mark.usefixtures("_often")
async def test_logging_out_closes_the_socket(connect: Connect, owner: cast.Person, fleet: Fleet) -> None:
    socket = await connect(owner)
    await _message(socket)
    key = socket.scope["headers"][-1][1].decode().partition("=")[2]

    def end() -> None:
        from django.contrib.sessions.models import Session

        Session.objects.filter(session_key=key).delete()

    await database_sync_to_async(end)()
    assert await _closed(socket) == consumers.UNAUTHENTICATED


@pytest.mark.usefixtures("_often")
async def test_disabling_the_user_closes_the_socket(connect: Connect, owner: cast.Person, fleet: Fleet) -> None:
    socket = await connect(owner)
    await _message(socket)
    await database_sync_to_async(User.objects.filter(pk=owner.user.pk).update)(is_active=False)
    assert await _closed(socket) == consumers.UNAUTHENTICATED


@pytest.mark.usefixtures("_often")
async def test_a_new_password_closes_the_socket(connect: Connect, owner: cast.Person, fleet: Fleet) -> None:
    socket = await connect(owner)
    await _message(socket)

    def change() -> None:
        owner.user.set_password("another-long-password")
        owner.user.save()

    await database_sync_to_async(change)()
    assert await _closed(socket) == consumers.UNAUTHENTICATED


@pytest.mark.parametrize("how", ["deactivated", "removed", "by the directory", "suspended", "logged out", "password"])
async def test_a_socket_closes_as_soon_as_its_user_may_not_look_any_more(
    connect: Connect, owner: cast.Person, member: cast.Person, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Told, not found out: by themselves sockets would look long after this test."""
    monkeypatch.setattr(callers.SessionCaller, "recheck_seconds", 600.0)
    theirs, others = await connect(member), await connect(owner)
    await _of(theirs, "snapshot", "fleet")
    await _of(others, "snapshot", "fleet")
    user, tenant = member.user, member.tenant
    acts: dict[str, tuple[Callable[[], Any], int]] = {
        "deactivated": (lambda: set_user_active(acting=cast.SYSTEM, user_id=user.id, active=False), 4401),
        "removed": (lambda: remove_member(acting=owner.acting, tenant=tenant, user=user), 4403),
        "by the directory": (lambda: _told_inactive(owner, user.email), 4403),
        "suspended": (lambda: set_tenant_suspended(acting=cast.SYSTEM, tenant_id=tenant.id, suspended=True), 4403),
        "logged out": (lambda: _log_out(member), 4401),
        "password": (lambda: change_password(acting=cast.SYSTEM, user_id=user.id, password="x" * 20), 4401),
    }
    act, code = acts[how]
    await database_sync_to_async(act)()
    assert await _closed(theirs) == code
    if how == "suspended":
        assert await _closed(others) == code
    else:
        await _ask(others, type="unsubscribe", id="fleet")
        assert (await _of(others, "ended"))["code"] == "unsubscribed"


def _told_inactive(owner: cast.Person, email: str) -> None:
    """A directory of the tenant's tells of the user by SCIM, and then that they are inactive."""
    own_domain(owner.tenant, email.partition("@")[2])
    provider = create_provider(
        acting=owner.acting, name="x", issuer="https://login.example", client_id="x", default_role="member"
    )
    scim = directory_for(owner, provider)
    made = scim.create(email)
    scim.patch(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": False})


def _log_out(person: cast.Person) -> None:
    """In the browser that the socket was opened in."""
    request = HttpRequest()
    keys = [
        row.session_key for row in Session.objects.all() if row.get_decoded()["_auth_user_id"] == str(person.user.pk)
    ]
    request.session = SessionStore(*keys)
    log_out(request=request, acting=person.acting)


@pytest.mark.usefixtures("_often")
async def test_losing_the_membership_closes_the_socket(connect: Connect, member: cast.Person, fleet: Fleet) -> None:
    socket = await connect(member)
    await _message(socket)
    await _unjoin(member)
    assert await _closed(socket) == consumers.FORBIDDEN


@pytest.mark.usefixtures("_often")
async def test_rights_that_cannot_be_checked_close_the_socket(
    connect: Connect, owner: cast.Person, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = await connect(owner)
    await _message(socket)

    def unreachable(session_key: str | None) -> None:
        raise OSError("no database")

    monkeypatch.setattr(callers, "find_viewer", unreachable)
    assert await _closed(socket) == 1011


async def test_watching_is_announced_so_that_frames_are_published(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    await _of(await connect(owner), "snapshot")
    until = await aclient.zscore(keys.LIVE_WATCHED, fleet.tenant)
    assert until is not None
    assert until > time.time()


async def test_a_client_that_takes_nothing_is_dropped_and_leaves_nothing_open(
    owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SEND_SECONDS", 0.1)
    async with _raw(owner, monkeypatch, [{"type": "subscribe", "topic": "fleet"}]) as raw:
        await raw.until("snapshot")
        raw.takes.clear()
        await publish(aclient)
        async with asyncio.timeout(LONG):
            await raw.running
        assert hub.hub()._feeds == {}
        assert fleet.client.keys("omx:channels:group:*") == []
        assert not consumers._open


async def test_a_client_that_leaves_while_a_message_is_on_its_way_ends_its_socket_and_no_defect_is_logged(
    owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(consumers._log, "error", lambda event, **_: logged.append(event))
    async with _raw(owner, monkeypatch, [{"type": "subscribe", "topic": "fleet"}]) as raw:
        await raw.until("snapshot")
        raw.left = True
        await publish(aclient)
        async with asyncio.timeout(LONG):
            await raw.running
        assert (logged, hub.hub()._feeds) == ([], {})


async def test_a_socket_does_not_join_its_group_again_each_time_it_looks_whether_it_may_stay(
    owner: cast.Person, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some hundred sockets that did would have more to say to Redis than it has connections for, and be closed."""
    monkeypatch.setattr(callers.SessionCaller, "recheck_seconds", 0.01)
    looks, joins = 0, 0
    async with _raw(owner, monkeypatch, [{"type": "subscribe", "topic": "fleet"}]) as raw:

        def look(session_key: str | None) -> Any:
            nonlocal looks
            looks += 1
            return owner.acting

        layer = get_channel_layer()
        add = layer.group_add

        async def join(group: str, channel: str) -> None:
            nonlocal joins
            joins += 1
            await add(group, channel)

        monkeypatch.setattr(callers, "find_viewer", look)
        monkeypatch.setattr(layer, "group_add", join)
        await raw.until("snapshot")
        await raw.heard(lambda: looks >= 5)
        assert joins <= 1


class _Raw:
    """A socket whose client takes messages only while ``takes`` is set."""

    def __init__(self, asks: list[dict[str, Any]]) -> None:
        self._asks = [{"type": "websocket.connect"}] + [
            {"type": "websocket.receive", "text": json.dumps(ask)} for ask in asks
        ]
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.takes = asyncio.Event()
        self.takes.set()
        self.left = False
        scope = {"type": "websocket", "path": "/ws/live/", "session": _Session(), "user": AnonymousUser()}
        self.running = asyncio.ensure_future(LiveConsumer.as_asgi()(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._asks:
            return self._asks.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: dict[str, Any]) -> None:
        await self.takes.wait()
        if self.left:
            raise ConnectionResetError
        if message["type"] == "websocket.send":
            await self._sent.put(json.loads(message["text"]))

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(LONG):
            while (message := await self._sent.get())["type"] != kind:
                pass
        return message

    async def heard(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONG):
            while not condition():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def _raw(owner: cast.Person, monkeypatch: pytest.MonkeyPatch, asks: list[dict[str, Any]]) -> AsyncIterator[_Raw]:
    monkeypatch.setattr(callers, "find_viewer", lambda session_key: owner.acting)
    channel_layers.backends.clear()
    raw = _Raw(asks)
    try:
        yield raw
    finally:
        raw.running.cancel()
        await asyncio.wait([raw.running])
        await hub.stop_hub()
        await get_channel_layer().flush()
        channel_layers.backends.clear()


class _Session:
    session_key = "any"


async def _unjoin(person: cast.Person) -> None:
    def delete() -> None:
        with every_tenant():
            Membership.objects.filter(user=person.user).delete()

    await database_sync_to_async(delete)()


async def test_a_socket_shows_signs_of_life_while_nothing_is_published(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    """Longer than a Redis client waits for an answer: the controller may be away."""
    socket = await connect(owner)
    await _of(socket, "snapshot", "fleet")
    while json.loads(await socket.receive_from(timeout=LONG))["type"] != "alive":
        pass
    await publish(aclient)
    await _of(socket, "event", "fleet")
