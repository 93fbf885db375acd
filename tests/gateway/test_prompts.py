"""What a gateway does with prompts: nothing where no policy says so, else it seals them and never loses one silently."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from cluster.dispatch import prompts
from ollamamax.bus import directory, keys
from ollamamax.contract.prompts import decode_prompt, decode_sealed, place_of
from ollamamax.contract.tables import TENANTS, KnownTenant
from ollamamax.sealed_to import new_pair, open_with
from tests.gateway.conftest import Site
from tests.patience import until

PUBLIC, PRIVATE = new_pair()


async def set_policy(site: Site, prompt_key: str) -> None:
    told = KnownTenant(prompt_key=prompt_key)
    directory.publish(site.client, TENANTS.name, {site.tenant: TENANTS.encode(told)})
    service = await site.gateway.start()
    await until(lambda: service.directory.get(TENANTS, site.tenant) == told)


async def ask(site: Site, **body: Any) -> str:
    """The id of the request, once its record is written."""
    asked = {"model": "echo", "messages": [{"role": "user", "content": "one two"}], **body}
    async with site.post("/v1/chat/completions", asked) as response:
        assert response.status == 200
        await response.read()
        request = response.headers["x-request-id"]
    await until(lambda: any(each["request"] == request for each in site.usage()))
    return str(request)


def said(site: Site, request: str) -> bool:
    return next(bool(each.get("prompt_kept")) for each in site.usage() if each["request"] == request)


async def test_prompts_are_sealed_where_the_tenant_wants_them_kept_and_nowhere_else(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.add_node()
    first = await ask(site)
    await set_policy(site, base64.b64encode(PUBLIC).decode())
    second = await ask(site, user="ann")
    await until(lambda: site.client.xlen(keys.PROMPTS) == 1)
    assert (said(site, first), said(site, second)) == (False, True)
    ((_, fields),) = site.client.xrange(keys.PROMPTS)
    assert b"one two" not in fields[b"r"]
    found = decode_sealed(fields[b"r"])
    assert (found.request, found.tenant, found.user) == (second, site.tenant, "ann")
    prompt = decode_prompt(open_with(PRIVATE, found.sealed, place_of(site.tenant, second)))
    assert msgspec.to_builtins(prompt.parts) == [{"role": "user", "text": "one two"}]
    # What finds no room in Redis is lost, and that is said; the record says that it was to be kept.
    monkeypatch.setattr(prompts, "MOST_IN_REDIS", 1)
    with capture_logs() as logs:
        third = await ask(site)
        await until(lambda: any(each["event"] == "prompt_lost" for each in logs))
    assert next(each for each in logs if each["event"] == "prompt_lost")["request"] == third
    assert (site.client.xlen(keys.PROMPTS), said(site, third)) == (1, True)


@pytest.mark.parametrize("key", ["no base64", base64.b64encode(b"short").decode()], ids=["text", "short"])
async def test_a_policy_that_makes_no_sense_costs_no_answer(site: Site, key: str) -> None:
    await site.add_node()
    await set_policy(site, key)
    with capture_logs() as logs:
        request = await ask(site)
    assert [each["request"] for each in logs if each["event"] == "prompt_lost"] == [request]
    assert site.client.xlen(keys.PROMPTS) == 0
