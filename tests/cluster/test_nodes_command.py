"""`ollamamax nodes list`, `drain` and `undrain`."""

from __future__ import annotations

import io

import pytest
import redis
from django.core.management import CommandError, call_command

from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from tests.cast import Person
from tests.cluster.conftest import Join, says

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("nodes", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_node_is_drained_and_serves_again(owner: Person, join: Join, valkey: redis.Redis, by: str) -> None:
    node = join(owner).node
    called = str(getattr(node, by))
    assert run("drain", called) == f"{node.id}\tgpu-1\tdrained\n"
    assert b'"schedulable":false' in (valkey.hget(keys.directory("nodes"), node.id.hex) or b"")
    assert run("drain", called).endswith("drained\n")
    assert run("undrain", called).endswith("schedulable\n")
    assert b'"schedulable":true' in (valkey.hget(keys.directory("nodes"), node.id.hex) or b"")
    written = AuditRecord.objects.filter(target_id=node.id.hex).order_by("seq")
    assert [(r.action, r.actor_kind, r.chain) for r in written][1:] == [
        ("node.cordon", "system", owner.tenant.id.hex),
        ("node.resume", "system", owner.tenant.id.hex),
    ]


def test_nodes_are_listed(owner: Person, stranger: Person, join: Join, valkey: redis.Redis) -> None:
    heard, other = join(owner), join(stranger)
    says(valkey, heard)
    run("drain", "gpu-1", "--tenant", "strangers")
    assert run("list").splitlines() == [
        f"{heard.node.id}\tacme\tgpu-1\tllamacpp\tonline\tschedulable",
        f"{other.node.id}\tstrangers\tgpu-1\tllamacpp\toffline\tdrained",
    ]
    assert len(run("list", "--tenant", "acme").splitlines()) == 1


def test_a_name_that_two_tenants_use_is_not_guessed(owner: Person, stranger: Person, join: Join) -> None:
    join(owner), join(stranger)
    with pytest.raises(CommandError, match="Several nodes"):
        run("drain", "gpu-1")
    assert run("drain", "gpu-1", "--tenant", "acme").endswith("drained\n")


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
