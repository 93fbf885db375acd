"""The tenants that the fairness benchmark measures."""

from __future__ import annotations

import pytest

from benchmarks.tenants import make
from ollamamax.identity.keys import parse_key
from ollamamax.identity.models import ApiKey, Tenant
from ollamamax.identity.scope import every_tenant


@pytest.mark.django_db
def test_each_gets_its_weight_and_a_key_of_each_priority() -> None:
    keys = make(
        [
            {"slug": "light", "weight": 1, "priorities": ["normal"]},
            {"slug": "heavy", "weight": 4, "priorities": ["high", "low"]},
        ]
    )
    assert [len(each) for each in keys] == [1, 2]
    identifiers = [parsed[0] for each in keys for text in each if (parsed := parse_key(text)) is not None]
    with every_tenant():
        assert {each.slug: each.weight for each in Tenant.objects.all()} == {"light": 1.0, "heavy": 4.0}
        found = {each.identifier: each for each in ApiKey.objects.select_related("tenant")}
    assert [(found[name].tenant.slug, found[name].priority) for name in identifiers] == [
        ("light", "normal"),
        ("heavy", "high"),
        ("heavy", "low"),
    ]
