"""What a crowd of large requests leaves behind is given back."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from ollamamax.kernel import heap
from tests.patience import LONG

LARGE = 100 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_garbage_in_cycles_is_found_and_its_memory_given_back() -> None:
    # A process of its own: what other tests keep, free and use again meanwhile is memory of the same process.
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, timeout=3 * LONG)
    assert done.returncode == 0, done.stderr


async def leave_garbage() -> None:
    """Raises `TimeoutError` when the memory of a large cycle stays."""
    heap.LOOK_SECONDS = 0.05
    before = heap.resident()
    tidy = asyncio.create_task(heap.stay_tidy())
    await asyncio.sleep(0)
    cycle: list[object] = [[bytes(1000) for _ in range(LARGE // 1000)]]
    cycle.append(cycle)
    assert heap.resident() > before + LARGE // 2
    del cycle
    async with asyncio.timeout(LONG):
        while heap.resident() > before + LARGE // 4:
            await asyncio.sleep(0.02)
    tidy.cancel()


if __name__ == "__main__":
    import gc

    gc.disable()  # nobody else finds it
    asyncio.run(leave_garbage())
