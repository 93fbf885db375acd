"""The worker's parts that decide or only hold something, without a process around them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from unittest.mock import ANY

import pytest

from cluster.worker import gpu, state
from cluster.worker.local_models import DownloadedModels
from cluster.worker.outlet import Sent
from cluster.worker.telemetry import Host, Sampler, Traffic, rates
from ollamamax import contract


def test_output_that_waits_is_joined_and_numbered_as_sent() -> None:
    sent = Sent("t.1", b"")
    sent.add(contract.Started(1.0))
    sent.add(contract.Delta("a", "", 1))
    sent.add(contract.Delta("b", "x", 2, [{"id": "c"}]))
    frame = sent.take()
    assert frame == contract.Frame(
        "t.1", 0, [contract.Started(1.0, ago=ANY), contract.Delta("ab", "x", 3, [{"id": "c"}])]
    )
    sent.add(contract.Delta("c", "", 1))
    sent.add(contract.Final())
    assert sent.take() == contract.Frame("t.1", 2, [contract.Delta("c", "", 1), contract.Final()])
    assert sent.sent[2:] == [contract.Delta("c", "", 1), contract.Final()]


def test_what_an_engine_says_goes_before_what_lies_on_the_disk() -> None:
    ready = contract.ModelState("v1", "a", "ready", "llamacpp")
    loaded = contract.ModelState("v1", "a", "loaded", "llamacpp")
    other = contract.ModelState("v0", "b", "fetching", "llamacpp")
    assert state.models([ready, other], [loaded]) == [other, loaded]


def test_tokens_a_second() -> None:
    rate = state.TokenRate(10.0)
    assert rate.next(11.0, 50) == 50.0
    assert rate.next(13.0, 60) == 5.0
    assert rate.next(13.0, 60) == 0.0


def test_rates_of_the_network() -> None:
    assert rates(Traffic(1.0, 100, 10), Traffic(3.0, 300, 10)) == (100.0, 0.0)
    assert rates(Traffic(1.0, 100, 10), Traffic(2.0, 50, 30)) == (0.0, 20.0)
    assert rates(Traffic(1.0, 100, 10), Traffic(1.0, 200, 10)) == (0.0, 0.0)


def test_a_sample_of_this_host(tmp_path: Path) -> None:
    host = Sampler(tmp_path).sample()
    assert host.memory_total > host.memory_used > 0
    assert host.disk_total >= host.disk_used > 0
    assert host.cpu_count >= 1
    assert bool(host.gpus) != bool(host.gpu_note), "either GPUs or a reason why there are none"


def put(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_amd_cards_as_the_kernel_shows_them(tmp_path: Path) -> None:
    put(
        tmp_path / "card0" / "device",
        vendor="0x1002",
        device="0x744c",
        product_name="Radeon RX 7900",
        gpu_busy_percent="37",
        mem_info_vram_used="1000",
        mem_info_vram_total="4000",
        hwmon__hwmon3__temp1_input="54000",
        hwmon__hwmon3__power1_average="123000000",
        hwmon__hwmon3__temp1_crit="100000",
        hwmon__hwmon3__power1_cap="300000000",
        hwmon__hwmon3__freq1_input="1800000000",
        pp_dpm_sclk="0: 500Mhz\n1: 2100Mhz *",
        ras__umc_err_count="ue: 1\nce: 12",
    )
    put(tmp_path / "card1" / "device", vendor="0x8086")
    put(tmp_path / "card0-DP-1" / "device", vendor="0x1002")
    put(tmp_path / "card2" / "device", vendor="0x1002", device="0x1234")
    first, second = gpu.amd(tmp_path)
    assert first == contract.Gpu(
        index=0,
        name="Radeon RX 7900",
        load_percent=37.0,
        memory_used=1000,
        memory_total=4000,
        temperature_celsius=54.0,
        power_watts=123.0,
        ecc_errors=1,
        ecc_corrected=12,
        power_limit_watts=300.0,
        slowdown_celsius=100.0,
        clock_mhz=1800.0,
        clock_max_mhz=2100.0,
    )
    assert second == contract.Gpu(index=1, name="AMD GPU 0x1234")


class Nvml:
    """NVML's binding with one card, some of whose values the driver does not give."""

    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = NVML_VOLATILE_ECC = NVML_TEMPERATURE_GPU = 0

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, _: int) -> bytes:  # noqa: N802
        return b"NVIDIA T4"

    def nvmlDeviceGetMemoryInfo(self, _: int) -> object:  # noqa: N802
        return type("Memory", (), {"used": 5, "total": 16})

    def nvmlDeviceGetUtilizationRates(self, _: int) -> object:  # noqa: N802
        return type("Rates", (), {"gpu": 71})

    def nvmlDeviceGetTemperature(self, *_: int) -> int:  # noqa: N802
        return 60

    def nvmlDeviceGetPowerUsage(self, _: int) -> int:  # noqa: N802
        return 70_500

    def nvmlDeviceGetTotalEccErrors(self, *_: int) -> int:  # noqa: N802
        raise OSError("Not Supported")


def test_what_a_driver_does_not_tell_is_left_out() -> None:
    assert gpu._nvidia(Nvml()) == [
        contract.Gpu(0, "NVIDIA T4", 71.0, 5, 16, temperature_celsius=60.0, power_watts=70.5, ecc_errors=None)
    ]


class FaultyNvml(Nvml):
    """A card that is hot, has broken memory, and tells faults as events."""

    NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_TEMPERATURE_THRESHOLD_SLOWDOWN, NVML_CLOCK_SM = 1, 1, 1
    nvmlEventTypeXidCriticalError = 8  # noqa: N815
    nvmlClocksThrottleReasonHwSlowdown, nvmlClocksThrottleReasonHwThermalSlowdown = 8, 64  # noqa: N815
    nvmlClocksThrottleReasonSwPowerCap = 4  # noqa: N815

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.events: list[int] = []

    def nvmlDeviceGetTotalEccErrors(self, *asked: int) -> int:  # noqa: N802
        return (3, 40)[asked[1]]

    def nvmlDeviceGetEnforcedPowerLimit(self, _: int) -> int:  # noqa: N802
        return 75_000

    def nvmlDeviceGetTemperatureThreshold(self, *_: int) -> int:  # noqa: N802
        return 96

    def nvmlDeviceGetClockInfo(self, *_: int) -> int:  # noqa: N802
        return 300

    def nvmlDeviceGetMaxClockInfo(self, *_: int) -> int:  # noqa: N802
        return 1590

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _: int) -> int:  # noqa: N802
        return 8 | 64 | 1 << 40

    def nvmlDeviceGetRemappedRows(self, _: int) -> tuple[int, int, int, int]:  # noqa: N802
        return 1, 2, 0, 1

    def nvmlEventSetCreate(self) -> str:  # noqa: N802
        return "events"

    def nvmlDeviceRegisterEvents(self, *asked: object) -> None:  # noqa: N802
        self.asked.append(asked)

    def nvmlEventSetWait_v2(self, _: object, milliseconds: int) -> object:  # noqa: N802
        assert milliseconds == 0, "nobody waits for a fault"
        if not self.events:
            raise OSError("Timeout")
        return type("Event", (), {"device": 0, "eventData": self.events.pop(0)})

    def nvmlDeviceGetIndex(self, handle: int) -> int:  # noqa: N802
        return handle


def test_what_is_wrong_with_a_card_is_told() -> None:
    now = 100.0
    nvml = FaultyNvml()
    faults = gpu.Faults(nvml, lambda: now)
    (first,) = gpu._nvidia(nvml, faults)
    assert (first.xid, first.xid_seconds) == (None, None)
    nvml.events = [13, 79, 1 << 50]
    gpu._nvidia(nvml, faults)
    now = 130.0
    (card,) = gpu._nvidia(nvml, faults)
    assert nvml.asked == [(0, 8, "events")], "asked for once"
    assert card == contract.Gpu(
        *(0, "NVIDIA T4", 71.0, 5, 16, 60.0, 70.5),
        ecc_errors=3,
        ecc_corrected=40,
        power_limit_watts=75.0,
        slowdown_celsius=96.0,
        clock_mhz=300.0,
        clock_max_mhz=1590.0,
        throttled=["hot", "slowed_by_hardware"],
        xid=79,
        xid_seconds=30.0,
        remap_failed=True,
    )


def test_a_host_without_a_gpu_says_so(tmp_path: Path) -> None:
    reader = gpu.GpuReader(tmp_path)
    if reader._nvml is None:
        gpus, note = reader.read()
        assert gpus == []
        assert note is not None
        assert note.startswith("No GPU found: NVML")


def test_a_version_is_found_only_when_it_is_ready(tmp_path: Path) -> None:
    from cluster.engines.base import LocalModel

    local_models = DownloadedModels()
    local_models.note(contract.ModelState("v", "m", "fetching", "llamacpp", bytes_done=3))
    assert local_models.find("v") is None
    local_models.put(LocalModel("v", "m", tmp_path, 10))
    assert local_models.find("v") is not None
    assert local_models.states()[0].state == "ready"
    local_models.note(contract.ModelState("v", "m", "failed", "llamacpp", error="x"))
    assert local_models.find("v") is None
    local_models.drop("v")
    assert local_models.states() == []


def test_a_state_is_complete_json() -> None:
    host = Host(1.0, 2, 3, 4, 5, 6, 7.0, 8.0, [], "none")
    told = state.compose(
        node="0" * 32,
        tenant="1" * 32,
        boot="b",
        seq=1,
        at=time.time(),
        agent_version="0",
        engines=[contract.Engine("llamacpp", True)],
        capacity=4,
        running=1,
        waiting=2,
        tokens_per_second=3.456,
        models=[],
        host=host,
        draining=False,
    )
    assert contract.decode_node_state(contract.encode_json(told), told.node) == told
    assert told.tokens_per_second == 3.46


@pytest.mark.parametrize("uvloop", [True, False])
def test_the_agent_has_a_loop_with_and_without_uvloop(uvloop: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from cluster.worker.agent import _loop_factory

    if not uvloop:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = _loop_factory()()
    assert (type(loop).__module__ == "uvloop") == uvloop
    assert isinstance(loop, asyncio.AbstractEventLoop)
    loop.close()
