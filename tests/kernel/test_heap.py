"""What a crowd of large requests leaves behind is given back."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest

from ollamamax.kernel import heap

LARGE = 100 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
async def test_garbage_in_cycles_is_found_and_its_memory_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "LOOK_SECONDS", 0.05)
    before = heap.resident()
    was = gc.isenabled()
    gc.disable()  # nobody else finds it
    tidy = asyncio.create_task(heap.stay_tidy())
    try:
        await asyncio.sleep(0)
        cycle: list[object] = [[bytes(1000) for _ in range(LARGE // 1000)]]
        cycle.append(cycle)
        assert heap.resident() > before + LARGE // 2
        del cycle
        async with asyncio.timeout(30):
            while heap.resident() > before + LARGE // 4:
                await asyncio.sleep(0.02)
    finally:
        tidy.cancel()
        if was:
            gc.enable()
