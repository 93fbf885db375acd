"""The live page's socket: who may enter, what comes, and when it ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio
from channels.db import database_sync_to_async
from channels.layers import channel_layers, get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpRequest

from dashboard import consumers, groups
from dashboard.consumers import LiveConsumer
from dashboard.routing import websocket
from ollamamax.bus import keys
from ollamamax.identity.actions.member import remove_member
from ollamamax.identity.actions.session import log_out
from ollamamax.identity.actions.tenant import set_tenant_suspended
from ollamamax.identity.actions.user import change_password, set_user_active
from ollamamax.identity.models import Membership, User
from ollamamax.identity.scope import every_tenant
from tests import cast
from tests.dashboard.conftest import publish
from tests.dashboard.fleet import Fleet
from tests.patience import LONG

pytestmark = pytest.mark.django_db(transaction=True)

Connect = Callable[..., Any]


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens the socket with somebody's session cookie; every socket is closed after the test."""
    channel_layers.backends.clear()
    opened = []

    async def open_(person: cast.Person | None, *, origin: str = "http://localhost") -> WebsocketCommunicator:
        headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
        if person is not None:
            client = await database_sync_to_async(cast.logged_in)(person)
            headers.append((b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode()))
        socket = WebsocketCommunicator(websocket, "/ws/live/", headers=headers)
        connected, _ = await socket.connect(timeout=LONG)
        socket.entered = connected
        opened.append(socket)
        return socket

    yield open_
    for socket in opened:
        await socket.disconnect()
    await get_channel_layer().flush()
    channel_layers.backends.clear()


@pytest.fixture
def fleet(client: Any, owner: cast.Person) -> Fleet:
    return Fleet(client, owner.tenant.id.hex)


async def _message(socket: WebsocketCommunicator) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.receive_from(timeout=LONG))
    return message


async def _closed(socket: WebsocketCommunicator, seconds: float = LONG) -> int:
    """The code it is closed with; what comes before is skipped."""
    while True:
        output = await socket.receive_output(timeout=seconds)
        if output["type"] == "websocket.close":
            code: int = output["code"]
            return code


async def test_the_snapshot_comes_first_and_then_each_frame(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    node = fleet.register("alpha")
    fleet.report(node)
    await publish(aclient)

    socket = await connect(owner)
    first = await _message(socket)
    assert (first["type"], first["seq"]) == ("snapshot", 1)
    assert [known["name"] for known in first["nodes"]] == ["alpha"]
    assert first["nodes"][0]["state"]["cpu_percent"] == 37.5

    for number in (2, 3):
        fleet.report(node)
        await publish(aclient)
        frame = await _message(socket)
        assert (frame["type"], frame["seq"]) == ("frame", number)


async def test_a_frame_that_the_snapshot_holds_already_is_not_sent_again(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    """It was on its way when the page subscribed: the group delivers it, though the snapshot was taken after it."""
    node = fleet.register("alpha")
    for _ in range(3):
        fleet.report(node)
        await publish(aclient)
    socket = await connect(owner)
    assert (await _message(socket))["seq"] == 3
    group = groups.live(owner.tenant.id.hex)
    for late in (2, 3):
        text = json.dumps({"type": "frame", "seq": late})
        await get_channel_layer().group_send(group, {"type": "live.frame", "seq": late, "text": text})
    fleet.report(node)
    await publish(aclient)
    assert (await _message(socket))["seq"] == 4


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_every_role_may_look(role: str, connect: Connect, fleet: Fleet, request: pytest.FixtureRequest) -> None:
    person = await database_sync_to_async(request.getfixturevalue)(role)
    assert (await _message(await connect(person)))["type"] == "snapshot"


async def test_a_stranger_sees_their_own_tenant_and_gets_no_frame_of_another(
    connect: Connect, stranger: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    fleet.report(fleet.register("secret"))
    socket = await connect(stranger)
    first = await _message(socket)
    assert (first["nodes"], first["tenant"]) == ([], stranger.tenant.id.hex)
    await publish(aclient)
    frame = await _message(socket)
    assert (frame["nodes"], frame["point"]["nodes"]) == ([], 0)
    members = await aclient.zrange(f"omx:channels:group:{groups.live(fleet.tenant)}", 0, -1)
    assert members == []


async def test_nobody_in_particular_is_refused_and_joins_no_group(connect: Connect, fleet: Fleet) -> None:
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


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.05)


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


@pytest.mark.parametrize("how", ["deactivated", "removed", "suspended", "logged out", "password"])
async def test_a_socket_closes_as_soon_as_its_user_may_not_look_any_more(
    connect: Connect, owner: cast.Person, member: cast.Person, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Told, not found out: by themselves sockets would look long after this test."""
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 600)
    theirs, others = await connect(member), await connect(owner)
    await _message(theirs)
    await _message(others)
    user, tenant = member.user, member.tenant
    acts: dict[str, tuple[Callable[[], Any], int]] = {
        "deactivated": (lambda: set_user_active(acting=cast.SYSTEM, user_id=user.id, active=False), 4401),
        "removed": (lambda: remove_member(acting=owner.acting, tenant=tenant, user=user), 4403),
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
        assert await others.receive_nothing(timeout=0.2)


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

    monkeypatch.setattr(consumers, "find_viewer", unreachable)
    assert await _closed(socket) == 1011


async def test_watching_is_announced_so_that_frames_are_published(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    await _message(await connect(owner))
    until = await aclient.zscore(keys.LIVE_WATCHED, fleet.tenant)
    assert until is not None
    assert until > time.time()


async def test_a_client_that_takes_nothing_is_dropped_and_leaves_the_group(
    owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SEND_SECONDS", 0.1)
    monkeypatch.setattr(consumers, "find_viewer", lambda session_key: owner.acting)
    channel_layers.backends.clear()
    sent: list[str] = []
    snapshot_sent, never = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not sent:
            return {"type": "websocket.connect"}
        await never.wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.send":
            snapshot_sent.set()
        if sent.count("websocket.send") > 1:
            await never.wait()  # the peer's window is full

    scope = {"type": "websocket", "path": "/ws/live/", "session": _Session(), "user": AnonymousUser()}
    running = asyncio.create_task(LiveConsumer.as_asgi()(scope, receive, send))
    group = f"omx:channels:group:{groups.live(fleet.tenant)}"
    async with asyncio.timeout(LONG):
        await snapshot_sent.wait()
        assert await aclient.zcard(group) == 1
        await publish(aclient)
        await running
    assert await aclient.zcard(group) == 0
    channel_layers.backends.clear()


class _Session:
    session_key = "any"


async def _unjoin(person: cast.Person) -> None:
    def delete() -> None:
        with every_tenant():
            Membership.objects.filter(user=person.user).delete()

    await database_sync_to_async(delete)()


async def test_a_socket_survives_while_nothing_is_published(
    connect: Connect, owner: cast.Person, fleet: Fleet, aclient: redis.asyncio.Redis
) -> None:
    """Longer than a Redis client waits for an answer: the controller may be away."""
    socket = await connect(owner)
    await _message(socket)
    assert await socket.receive_nothing(timeout=6)
    await publish(aclient)
    assert (await _message(socket))["type"] == "frame"
