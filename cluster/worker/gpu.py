"""GPUs of the host: NVIDIA's by NVML, AMD's by what the Linux driver shows under ``/sys/class/drm``.

A value that the driver does not give is ``None``; nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ollamamax import contract

DRM = Path("/sys/class/drm")
AMD = "0x1002"
T = TypeVar("T")


class Reader:
    """Opens NVML once; ``drm`` is where the AMD cards are looked for."""

    def __init__(self, drm: Path = DRM) -> None:
        self._drm = drm
        self._nvml, self._nvml_note = _open_nvml()

    def read(self) -> tuple[list[contract.Gpu], str | None]:
        """The GPUs, or none and the reason."""
        found = _nvidia(self._nvml) if self._nvml is not None else []
        found += amd(self._drm, len(found))
        return found, None if found else f"No GPU found: {self._nvml_note}; no AMD card in {self._drm}."


def _open_nvml() -> tuple[Any, str]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:  # noqa: BLE001 - the binding raises its own classes, made at run time
        return None, f"NVML: {error}"
    return pynvml, "NVML found no device"


def _nvidia(nvml: Any) -> list[contract.Gpu]:
    count = _known(nvml.nvmlDeviceGetCount) or 0
    return [gpu for index in range(count) if (gpu := _nvidia_gpu(nvml, index)) is not None]


def _nvidia_gpu(nvml: Any, index: int) -> contract.Gpu | None:
    handle = _known(lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    if handle is None:
        return None
    memory = _known(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    load = _known(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    name = _known(lambda: nvml.nvmlDeviceGetName(handle)) or "NVIDIA GPU"
    power = _known(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
    ecc = _known(
        lambda: nvml.nvmlDeviceGetTotalEccErrors(
            handle, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        )
    )
    return contract.Gpu(
        index=index,
        name=name.decode() if isinstance(name, bytes) else name,
        load_percent=float(load.gpu) if load is not None else None,
        memory_used=int(memory.used) if memory is not None else None,
        memory_total=int(memory.total) if memory is not None else None,
        temperature_celsius=_float(_known(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
        power_watts=power / 1000 if power is not None else None,
        ecc_errors=int(ecc) if ecc is not None else None,
    )


def amd(drm: Path, first_index: int = 0) -> list[contract.Gpu]:
    """The AMD cards below ``drm``, in the units that the kernel documents for each file."""
    found: list[contract.Gpu] = []
    for device in sorted(drm.glob("card[0-9]*/device")):
        if "-" in device.parent.name or _text(device / "vendor") != AMD:
            continue  # a connector, or another maker's card
        power = _sensor(device, "power1_average")
        temperature = _sensor(device, "temp1_input")
        found.append(
            contract.Gpu(
                index=first_index + len(found),
                name=_text(device / "product_name") or f"AMD GPU {_text(device / 'device') or ''}".strip(),
                load_percent=_float(_number(device / "gpu_busy_percent")),
                memory_used=_number(device / "mem_info_vram_used"),
                memory_total=_number(device / "mem_info_vram_total"),
                temperature_celsius=temperature / 1000 if temperature is not None else None,
                power_watts=power / 1_000_000 if power is not None else None,
                ecc_errors=_number(device / "ras" / "umc_err_count"),
            )
        )
    return found


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
