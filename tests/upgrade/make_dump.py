"""Prints a database of the release it is run in, with a little of everything in it: ``python make_dump.py > before.sql``.

To be run in the folder of a checkout of that release. The first lines name what only its maker knows: a password and a key.
"""

# mypy: ignore-errors
# It runs in the code of the release that it dumps, not in this one.

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path.cwd()))
os.environ["OLLAMAMAX_SECRET_KEY"] = (
    "the-secret-key-of-the-installation-that-was-upgraded"  # fixed, so that sealed texts open
)
os.environ["OLLAMAMAX_HOME"] = tempfile.mkdtemp(prefix="omx-dump-")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

from tests.servers import Servers

servers = Servers()
servers.start(database=True)

import django

django.setup()

from django.core.management import call_command
from django.utils import timezone


def main() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    told = fill()
    for name, text in told.items():
        print(f"-- {name}: {text}")
    print(dump())


def fill() -> dict[str, str]:
    from cluster.actions.join_token import issue_join_token
    from cluster.actions.node import join_node
    from models_registry.actions.alias import create_alias
    from models_registry.actions.version import publish_gguf
    from models_registry.models import Blob, Job, Replica, Upload
    from ollamamax.batches.actions.batch import create_batch
    from ollamamax.batches.actions.file import create_file
    from ollamamax.batches.models import Answer
    from ollamamax.identity.scope import tenant_scope
    from ollamamax.kernel.ids import uuid7
    from ollamamax.responses.models import Conversation, ConversationItem, KeptResponse
    from ollamamax.responses.sealed import sealed
    from tests import cast
    from tests.registry.conftest import write_gguf

    first, second = cast.make_operators_tenant("acme"), cast.make_tenant("other")
    owner, viewer = cast.make_person(first, "owner", "owner"), cast.make_person(first, "viewer", "viewer")
    stranger = cast.make_person(second, "stranger", "admin")
    key, other_key = cast.make_key(owner), cast.make_key(stranger)
    nodes = []
    for person, names in ((owner, ("gpu-1", "gpu-2")), (stranger, ("gpu-1",))):
        for name in names:
            _, text = issue_join_token(acting=person.acting, max_uses=1, lifetime=datetime.timedelta(days=1))
            nodes.append(join_node(token=text, name=name, engine="ollama", agent_version="0.1.0").node)
    with tenant_scope(first):
        type(nodes[0]).objects.filter(pk=nodes[0].pk).update(
            shared=True, region="eu-1", labels={"gpu": "h100"}, hourly_cost=2.5
        )
    file = write_gguf(Path(os.environ["OLLAMAMAX_HOME"]) / "tiny.gguf")
    version = publish_gguf(acting=owner.acting, file=file, name="tiny:1b", aliases=())
    create_alias(acting=owner.acting, name="gpt-4o", target="tiny:1b")
    now = timezone.now()
    with tenant_scope(first):
        Replica.objects.create(
            tenant=first, version=version, node=nodes[0], state="ready", bytes_done=8, changed_at=now
        )
        Replica.objects.create(
            tenant=first, version=version, node=nodes[1], state="failed", error="the disk is full", changed_at=now
        )
        Upload.objects.create(tenant=first, blob=Blob.objects.earliest("created_at"), sent_at=now)
        Job.objects.create(
            tenant=first, kind="pull", model="small:1b", request={"model": "small:1b"}, fingerprint="a" * 64,
            state="done", progress=[{"status": "success"}], actor_kind="user", actor_id=owner.user.id.hex, actor_name="owner",
        )  # fmt: skip
        given = create_file(
            acting=key.acting, file_id=uuid7(), name="input.jsonl", size=2, sha256="b" * 64, most_bytes=1 << 20
        )
        batch = create_batch(
            acting=key.acting,
            input_file=given.id,
            endpoint="/v1/embeddings",
            completion_window="24h",
            metadata={"for": "me"},
        )
        type(batch).objects.filter(pk=batch.pk).update(total=3, completed=1)
        Answer.objects.create(tenant=first, batch=batch, number=1, is_success=True, line=b"{}")
        later = now + datetime.timedelta(days=36500)
        conversation = Conversation.objects.create(tenant=first, metadata={"for": "me"}, expires_at=later)
        ConversationItem.objects.create(
            tenant=first,
            conversation=conversation,
            position=0,
            name="msg_1",
            item=sealed({"role": "user"}, "item"),
            size=1,
        )
        KeptResponse.objects.create(
            id=uuid7(), tenant=first, key=key.row, status="completed", conversation=conversation.id, size=2,
            object=sealed({"id": "resp_1"}, "object"), input=sealed([], "input"), created_at=now, expires_at=later,
        )  # fmt: skip
    use(first, key, nodes[0], version.digest, 150)
    use(second, other_key, nodes[2], version.digest, 7)
    return {"password": cast.PASSWORD, "key": key.text, "viewer": viewer.email, "owner": owner.email}


def use(tenant: Any, key: Any, node: Any, version: str, count: int) -> None:
    """Records over 40 days, as gateways send them, of every outcome; one in three has a route, one in ten no node."""
    from ollamamax.bus import keys, shared  # type: ignore[attr-defined] # there was one then
    from ollamamax.contract import Route, UsageRecord, encode_json
    from ollamamax.metering.actions.usage import write_usage

    outcomes = ("ok", "ok", "ok", "cancelled", "failed", "gateway_lost", "node_lost")
    for number in range(count):
        at = time.time() - number * 40 * 86400 / count
        outcome: Any = outcomes[number % len(outcomes)]
        record = UsageRecord(
            request=f"{int(at * 1000):012x}7{number:03x}8{number:015x}", tenant=tenant.id.hex, key=key.row.id.hex,
            model=f"tiny:{number % 3}b", version=version, node="" if number % 10 == 9 else node.id.hex, node_name=node.name,
            api="/v1/chat/completions", trace="c" * 32, received_at=at, prompt_tokens=number, completion_tokens=number % 7,
            queue_ms=1.0, first_token_ms=None if number % 5 else 2.5, duration_ms=20.0, outcome=outcome,
            error="" if outcome == "ok" else outcome, route=None if number % 3 else Route(strategy="balanced", waiting=number),
        )  # fmt: skip
        shared.client().xadd(keys.USAGE, {"r": encode_json(record)})
    assert write_usage() == count


def dump() -> str:
    """In plain SQL that any client can run: without the commands of psql."""
    from ollamamax.embedded import postgres

    program = next(
        each
        for each in (servers.folder, postgres.installation())
        for each in each.rglob("bin/pg_dump")
        if each.is_file()
    )
    url = os.environ["DATABASE_URL"]
    options = ["--no-owner", "--no-privileges", "--no-comments", "--inserts", "--rows-per-insert=100"]
    password = urlsplit(url).password or ""
    done = subprocess.run(
        [program, *options, url], env={**os.environ, "PGPASSWORD": password}, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    return "\n".join(line for line in lines if line and not line.startswith(("--", "\\", "SET transaction_timeout")))


if __name__ == "__main__":
    try:
        main()
    finally:
        servers.stop()
