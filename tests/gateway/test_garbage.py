"""What a request leaves in memory: nothing that only the collector of cycles would find."""

from __future__ import annotations

import gc

import pytest

from cluster.dispatch.request import Request
from cluster.dispatch.token_stream import TokenStream
from tests.gateway.conftest import Site
from tests.gateway.waiting import ASK
from tests.patience import until


@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_that_is_over_goes_by_itself(site: Site, stream: bool) -> None:
    await site.add_node()

    async def ask() -> None:
        async with site.post("/v1/chat/completions", {**ASK, "stream": stream}) as response:
            assert response.status == 200
            await response.read()

    def left() -> list[object]:
        # Not `isinstance`: that asks what is lazy, of other tests, to become what it stands for.
        return [each for each in gc.get_objects() if type(each) is Request or type(each) is TokenStream]

    await ask()
    await until(lambda: len(site.usage()) == 1)
    gc.collect()
    before = len(left())
    gc.disable()
    try:
        for _ in range(3):
            await ask()
        await until(lambda: len(site.usage()) == 4 and len(left()) <= before)
    finally:
        gc.enable()
