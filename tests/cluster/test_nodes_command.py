"""`ollamamax nodes list`, `cordon`, `drain` and `resume`."""

from __future__ import annotations

import io

import pytest
import redis
from django.core.management import CommandError, call_command

from cluster.actions.drain import end_drains
from cluster.models import Node
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.identity.scope import tenant_scope
from tests.cast import Person
from tests.cluster.conftest import Join, says
from tests.patience import LONG

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("nodes", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_node_is_cordoned_and_serves_again(owner: Person, join: Join, valkey: redis.Redis, by: str) -> None:
    node = join(owner).node
    called = str(getattr(node, by))
    assert run("cordon", called) == f"{node.id}\tgpu-1\tcordoned\n"
    assert b'"schedulable":false' in (valkey.hget(keys.directory("nodes"), node.id.hex) or b"")
    assert run("cordon", called).endswith("cordoned\n")
    assert run("resume", called).endswith("schedulable\n")
    assert b'"schedulable":true' in (valkey.hget(keys.directory("nodes"), node.id.hex) or b"")
    written = AuditRecord.objects.filter(target_id=node.id.hex).order_by("seq")
    assert [(r.action, r.actor_kind, r.chain) for r in written][1:] == [
        ("node.cordon", "system", owner.tenant.id.hex),
        ("node.resume", "system", owner.tenant.id.hex),
    ]


def test_a_drain_has_an_end(owner: Person, join: Join, valkey: redis.Redis) -> None:
    node = join(owner).node
    assert "draining until 20" in run("drain", "gpu-1", "--seconds", "0")
    with tenant_scope(owner.tenant):
        found = Node.objects.get(pk=node.pk)
    assert found.drain_until is not None
    valkey.sadd(keys.node_slots(node.id.hex), "a request")
    with valkey.pubsub() as control:
        control.subscribe(keys.node_control(node.id.hex))
        control.get_message(timeout=LONG)
        assert end_drains() == 1
    assert run("undrain", "gpu-1").endswith("schedulable\n"), "as it was called before"
    with pytest.raises(CommandError, match="up to"):
        run("drain", "gpu-1", "--seconds", "-1")


def test_nodes_are_listed(owner: Person, stranger: Person, join: Join, valkey: redis.Redis) -> None:
    heard, other = join(owner), join(stranger)
    says(valkey, heard)
    run("cordon", "gpu-1", "--tenant", "strangers")
    assert run("list").splitlines() == [
        f"{heard.node.id}\tacme\tgpu-1\tllamacpp\tonline\tschedulable",
        f"{other.node.id}\tstrangers\tgpu-1\tllamacpp\toffline\tcordoned",
    ]
    assert len(run("list", "--tenant", "acme").splitlines()) == 1


def test_a_name_that_two_tenants_use_is_not_guessed(owner: Person, stranger: Person, join: Join) -> None:
    join(owner), join(stranger)
    with pytest.raises(CommandError, match="Several nodes"):
        run("drain", "gpu-1")
    assert "draining" in run("drain", "gpu-1", "--tenant", "acme")


@pytest.mark.parametrize(
    "arguments",
    [["drain", "nothing"], ["undrain", "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"], ["list", "--tenant", "nowhere"]],
)
def test_what_is_not_there_is_said_in_a_sentence(owner: Person, arguments: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert str(caught.value).endswith(".")


def test_a_node_of_one_tenant_is_not_drained_in_anothers_name(owner: Person, stranger: Person, join: Join) -> None:
    node = join(owner).node
    with pytest.raises(CommandError):
        run("drain", str(node.id), "--tenant", "strangers")
