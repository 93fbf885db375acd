"""`manage.py node token`."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from cluster.models import JoinToken
from ollamamax.identity.keys import parse_key
from ollamamax.identity.scope import tenant_scope
from tests.cast import Person

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_prints_a_token_that_is_good_for_so_many_hosts(owner: Person) -> None:
    out = io.StringIO()
    call_command("node", "token", "--tenant", owner.tenant.slug, "--uses", "3", "--minutes", "5", stdout=out)
    parsed = parse_key(out.getvalue().strip(), "join")
    assert parsed is not None
    with tenant_scope(owner.tenant):
        token = JoinToken.objects.get()
    assert (token.identifier, token.max_uses) == (parsed[0], 3)


@pytest.mark.parametrize("arguments", [["--tenant", "nobody"], ["--tenant", "acme", "--uses", "0"]])
def test_what_cannot_be_is_said_in_a_sentence(owner: Person, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("node", "token", *arguments)
