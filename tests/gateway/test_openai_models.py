"""GET /v1/models and /v1/models/{model}, with the official client and by hand."""

from __future__ import annotations

import openai
import pytest

from tests.gateway.conftest import Site


def _client(site: Site, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key or site.key, max_retries=0)


async def test_one_model_is_told_as_the_list_tells_it(site: Site) -> None:
    listed = [model async for model in await _client(site).models.list()]
    for name in ("echo:latest", "echo"):
        found = await _client(site).models.retrieve(name)
        assert (found.object, found.created, found.owned_by) == ("model", listed[0].created, "library")
        assert found.id == name


async def test_a_model_that_is_not_there_is_not_found(site: Site, stranger: str) -> None:
    for name, key in (("nothing", None), ("a/b:c", None), ("echo", stranger)):
        with pytest.raises(openai.NotFoundError) as error:
            await _client(site, key).models.retrieve(name)
        assert error.value.code == "model_not_found"


async def test_only_get_is_allowed_and_a_key_is_needed(site: Site) -> None:
    async with site.post("/v1/models/echo", {}) as response:
        assert response.status == 405
        assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    async with site.http.get(f"{site.url}/v1/models/echo") as response:
        assert response.status == 401
