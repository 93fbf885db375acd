"""GPUs of the host: NVIDIA's by NVML, AMD's by what the Linux driver shows under ``/sys/class/drm``.

A value that the driver does not give is ``None``; nothing is estimated.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ollamamax import contract

_MOST_EVENTS = 100
"""Taken at one look: a card that tells faults without end must not hold up the rest."""
DRM = Path("/sys/class/drm")
AMD = "0x1002"
T = TypeVar("T")


class GpuReader:
    """Opens NVML once; ``drm`` is where the AMD cards are looked for."""

    def __init__(self, drm: Path = DRM) -> None:
        self._drm = drm
        self._nvml, self._nvml_note = _open_nvml()
        self._faults = None if self._nvml is None else Faults(self._nvml)

    def read(self) -> tuple[list[contract.Gpu], str | None]:
        """The GPUs, or none and the reason."""
        found = _nvidia(self._nvml, self._faults) if self._nvml is not None else []
        found += amd(self._drm, len(found))
        return found, None if found else f"No GPU found: {self._nvml_note}; no AMD card in {self._drm}."


def _open_nvml() -> tuple[Any, str]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:  # noqa: BLE001 - the binding raises its own classes, made at run time
        return None, f"NVML: {error}"
    return pynvml, "NVML found no device"


class Faults:
    """The faults (Xids) that NVIDIA's driver tells as events: what it told before this was made nobody knows."""

    def __init__(self, nvml: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._nvml = nvml
        self._clock = clock
        self._events = _known(nvml.nvmlEventSetCreate) if hasattr(nvml, "nvmlEventSetCreate") else None
        self._asked: set[int] = set()
        self._last: dict[int, tuple[int, float]] = {}

    def ask(self, index: int, handle: Any) -> None:
        """Have the faults of this card told, from now on."""
        if self._events is not None and index not in self._asked:
            self._asked.add(index)
            with contextlib.suppress(Exception):  # a card that cannot tell
                self._nvml.nvmlDeviceRegisterEvents(handle, self._nvml.nvmlEventTypeXidCriticalError, self._events)

    def read(self) -> None:
        """Take what was told since the last look."""
        if self._events is None:
            return
        for _ in range(_MOST_EVENTS):
            event = _known(lambda: self._nvml.nvmlEventSetWait_v2(self._events, 0))
            if event is None:
                return
            index = _known(functools.partial(self._nvml.nvmlDeviceGetIndex, event.device))
            if index is not None and 0 <= event.eventData < 1000:
                self._last[index] = int(event.eventData), self._clock()

    def last(self, index: int) -> tuple[int | None, float | None]:
        """The number of the card's last fault, and how many seconds ago it was."""
        if index not in self._last:
            return None, None
        number, at = self._last[index]
        return number, round(self._clock() - at, 1)


def _nvidia(nvml: Any, faults: Faults | None = None) -> list[contract.Gpu]:
    count = _known(nvml.nvmlDeviceGetCount) or 0
    if faults is not None:
        faults.read()
    return [gpu for index in range(count) if (gpu := _nvidia_gpu(nvml, index, faults)) is not None]


def _nvidia_gpu(nvml: Any, index: int, faults: Faults | None) -> contract.Gpu | None:
    handle = _known(lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    if handle is None:
        return None
    xid: int | None = None
    xid_seconds: float | None = None
    if faults is not None:
        faults.ask(index, handle)
        xid, xid_seconds = faults.last(index)
    memory = _known(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    load = _known(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    name = _known(lambda: nvml.nvmlDeviceGetName(handle)) or "NVIDIA GPU"
    power = _known(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
    limit = _known(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
    rows = _known(lambda: nvml.nvmlDeviceGetRemappedRows(handle))
    return contract.Gpu(
        index=index,
        name=name.decode() if isinstance(name, bytes) else name,
        load_percent=float(load.gpu) if load is not None else None,
        memory_used=int(memory.used) if memory is not None else None,
        memory_total=int(memory.total) if memory is not None else None,
        temperature_celsius=_float(_known(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
        power_watts=power / 1000 if power is not None else None,
        ecc_errors=_ecc(nvml, handle, "NVML_MEMORY_ERROR_TYPE_UNCORRECTED"),
        ecc_corrected=_ecc(nvml, handle, "NVML_MEMORY_ERROR_TYPE_CORRECTED"),
        power_limit_watts=limit / 1000 if limit is not None else None,
        slowdown_celsius=_float(
            _known(lambda: nvml.nvmlDeviceGetTemperatureThreshold(handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN))
        ),
        clock_mhz=_float(_known(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))),
        clock_max_mhz=_float(_known(lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM))),
        throttled=_throttled(nvml, handle),
        xid=xid,
        xid_seconds=xid_seconds,
        remap_failed=bool(rows[3]) if rows is not None else None,
    )


def _ecc(nvml: Any, handle: Any, kind: str) -> int | None:
    errors = _known(lambda: nvml.nvmlDeviceGetTotalEccErrors(handle, getattr(nvml, kind), nvml.NVML_VOLATILE_ECC))
    return int(errors) if errors is not None else None


_THROTTLES: dict[contract.Throttle, tuple[str, ...]] = {
    "hot": ("nvmlClocksThrottleReasonHwThermalSlowdown", "nvmlClocksThrottleReasonSwThermalSlowdown"),
    "slowed_by_hardware": ("nvmlClocksThrottleReasonHwSlowdown",),
    "power_brake": ("nvmlClocksThrottleReasonHwPowerBrakeSlowdown",),
    "power_limit": ("nvmlClocksThrottleReasonSwPowerCap",),
}


def _throttled(nvml: Any, handle: Any) -> list[contract.Throttle] | None:
    bits = _known(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    if bits is None:
        return None
    return [name for name, flags in _THROTTLES.items() if any(bits & getattr(nvml, flag, 0) for flag in flags)]


def amd(drm: Path, first_index: int = 0) -> list[contract.Gpu]:
    """The AMD cards below ``drm``, in the units that the kernel documents for each file."""
    found: list[contract.Gpu] = []
    for device in sorted(drm.glob("card[0-9]*/device")):
        if "-" in device.parent.name or _text(device / "vendor") != AMD:
            continue  # a connector, or another maker's card
        power = _sensor(device, "power1_average")
        temperature, critical = _sensor(device, "temp1_input"), _sensor(device, "temp1_crit")
        limit, clock = _sensor(device, "power1_cap"), _sensor(device, "freq1_input")
        found.append(
            contract.Gpu(
                index=first_index + len(found),
                name=_text(device / "product_name") or f"AMD GPU {_text(device / 'device') or ''}".strip(),
                load_percent=_float(_number(device / "gpu_busy_percent")),
                memory_used=_number(device / "mem_info_vram_used"),
                memory_total=_number(device / "mem_info_vram_total"),
                temperature_celsius=temperature / 1000 if temperature is not None else None,
                power_watts=power / 1_000_000 if power is not None else None,
                ecc_errors=_ras(device, "ue"),
                ecc_corrected=_ras(device, "ce"),
                power_limit_watts=limit / 1_000_000 if limit is not None else None,
                slowdown_celsius=critical / 1000 if critical is not None else None,
                clock_mhz=clock / 1_000_000 if clock is not None else None,
                clock_max_mhz=_highest_clock(device),
            )
        )
    return found


def _ras(device: Path, kind: str) -> int | None:
    """Errors of the card's memory: uncorrected (``ue``) or corrected (``ce``), as the driver lists them in lines of ``kind: number``."""
    for line in (_text(device / "ras" / "umc_err_count") or "").splitlines():
        name, _, number = line.partition(":")
        if name.strip() == kind and number.strip().isdigit():
            return int(number)
    return None


def _highest_clock(device: Path) -> float | None:
    """Of the levels that the driver lists, such as ``1: 2100Mhz *``."""
    levels = [line.split() for line in (_text(device / "pp_dpm_sclk") or "").splitlines()]
    found = [part[:-3] for words in levels for part in words if part.lower().endswith("mhz")]
    return max((float(each) for each in found if each.isdigit()), default=None)


def _known(read: Callable[[], T]) -> T | None:
    """What ``read`` gives; ``None`` when this card or driver cannot tell."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - the binding raises its own classes, made at run time
        return None


def _float(value: float | None) -> float | None:
    return float(value) if value is not None else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def _sensor(device: Path, name: str) -> int | None:
    return next((v for path in sorted(device.glob(f"hwmon/hwmon*/{name}")) if (v := _number(path)) is not None), None)
