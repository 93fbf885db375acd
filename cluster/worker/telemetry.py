"""The host's own numbers, from psutil. `sample` may block for some milliseconds: call it in a thread."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.worker import gpu
from ollamamax import contract


@dataclass(frozen=True)
class Traffic:
    """Bytes since the host started, at a moment of the monotonic clock."""

    at: float
    received: int
    sent: int


@dataclass(frozen=True)
class Host:
    """One sample. Rates are bytes a second since the sample before; ``gpu_note`` says why ``gpus`` is empty."""

    cpu_percent: float
    cpu_count: int
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int
    received_per_second: float
    sent_per_second: float
    gpus: list[contract.Gpu]
    gpu_note: str | None


def rates(before: Traffic, after: Traffic) -> tuple[float, float]:
    """Bytes received and sent a second. A counter that went back (an interface left) counts as none."""
    seconds = after.at - before.at
    if seconds <= 0:
        return 0.0, 0.0
    return max(0, after.received - before.received) / seconds, max(0, after.sent - before.sent) / seconds


class Sampler:
    """Keeps what the rates need of the last sample."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._gpus = gpu.GpuReader()
        self._traffic = _traffic()
        psutil.cpu_percent(interval=None)

    def sample(self) -> Host:
        before, self._traffic = self._traffic, _traffic()
        received, sent = rates(before, self._traffic)
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._home))
        gpus, note = self._gpus.read()
        return Host(
            cpu_percent=psutil.cpu_percent(interval=None),
            cpu_count=psutil.cpu_count() or 1,
            # What programs can still have is `available`; `used` leaves out shared memory.
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            disk_used=disk.used,
            disk_total=disk.total,
            received_per_second=received,
            sent_per_second=sent,
            gpus=gpus,
            gpu_note=note,
        )


def _traffic() -> Traffic:
    """Of all interfaces but loopback, which is not the network."""
    counters = [c for name, c in psutil.net_io_counters(pernic=True).items() if not name.startswith("lo")]
    return Traffic(time.monotonic(), sum(c.bytes_recv for c in counters), sum(c.bytes_sent for c in counters))
