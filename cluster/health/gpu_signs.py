"""What is wrong with a node's GPUs right now. Pure."""

from __future__ import annotations

from cluster.health.memory import NodeMemory, before
from cluster.health.sign import Sign, above
from ollamamax.contract import Gpu, Vitals
from ollamamax.contract.health import Severity, Value

HOT, TOO_HOT = 90.0, 95.0
"""Degrees Celsius, where the card does not tell at which it slows itself down."""
FAULT_SECONDS = 600.0
"""For so long a fault that the driver told counts."""
GREW_SECONDS = 3600.0
OF_PROGRAMS = frozenset({13, 31, 43, 45, 68})
"""Xids that a program's own fault causes too (NVIDIA's Xid catalogue)."""
_SLOWED = {
    "hot": "it is too hot",
    "slowed_by_hardware": "its hardware says so",
    "power_brake": "the host's power supply asks for it",
}


def gpu_signs(vitals: Vitals, memory: NodeMemory, now: float) -> list[Sign]:
    """``memory`` is brought forward."""
    if not vitals.gpus and not memory.gpus:
        return []
    signs = []
    memory.gpus = max(memory.gpus, len(vitals.gpus))
    if len(vitals.gpus) < memory.gpus:
        told = f"{memory.gpus - len(vitals.gpus)} of its {memory.gpus} GPUs are gone since its agent started."
        signs.append(Sign("gpu_gone", "critical", told, {"gpus": len(vitals.gpus), "had": memory.gpus}, hold=5.0))
    for gpu in vitals.gpus:
        signs += _one(gpu, memory, now)
    if len(memory.ecc) > len(vitals.gpus):
        present = {gpu.index for gpu in vitals.gpus}
        memory.ecc = {index: known for index, known in memory.ecc.items() if index in present}
    return signs


def _one(gpu: Gpu, memory: NodeMemory, now: float) -> list[Sign]:
    signs: list[Sign] = []
    of, name = str(gpu.index), f"GPU {gpu.index}"
    if gpu.temperature_celsius is not None and gpu.temperature_celsius >= 60:
        _hot(gpu, gpu.temperature_celsius, memory, signs)
    if gpu.throttled:
        why = [_SLOWED[each] for each in gpu.throttled if each in _SLOWED]
        if why:
            told = f"{name} slows itself down: {' and '.join(why)}."
            values: dict[str, Value] = {
                "gpu": gpu.index,
                "reasons": " ".join(gpu.throttled),
                "clock_mhz": gpu.clock_mhz,
            }
            signs.append(Sign("gpu_throttled", "warning", told, values, of, hold=10.0, clear=30.0))
    if gpu.ecc_errors:
        _ecc(gpu, gpu.ecc_errors, memory, now, signs)
    if gpu.remap_failed:
        told = f"{name} has broken memory that it cannot replace by spare memory any more: the card must be changed."
        signs.append(Sign("gpu_memory_broken", "critical", told, {"gpu": gpu.index}, of))
    if gpu.xid is not None and gpu.xid_seconds is not None and 0 <= gpu.xid_seconds < FAULT_SECONDS:
        told = f"{name} told a fault {gpu.xid_seconds:.0f} s ago (Xid {gpu.xid})."
        severity: Severity = "warning" if gpu.xid in OF_PROGRAMS else "critical"
        signs.append(
            Sign("gpu_fault", severity, told, {"gpu": gpu.index, "xid": gpu.xid, "seconds": gpu.xid_seconds}, of)
        )
    if gpu.memory_used and gpu.memory_total and gpu.memory_used >= 0.995 * gpu.memory_total:
        told = f"The memory of {name} is full."
        full: dict[str, Value] = {"gpu": gpu.index, "used": gpu.memory_used, "total": gpu.memory_total}
        signs.append(Sign("gpu_memory_full", "warning", told, full, of, hold=60.0, clear=30.0))
    return signs


def _hot(gpu: Gpu, degrees: float, memory: NodeMemory, signs: list[Sign]) -> None:
    slows = gpu.slowdown_celsius if gpu.slowdown_celsius is not None and 60 <= gpu.slowdown_celsius <= 150 else None
    warn, critical = (HOT, TOO_HOT) if slows is None else (slows - 5, slows)
    bad = above(degrees, warn, critical, 4.0, before(memory.held, "gpu_hot", str(gpu.index)))
    if bad is not None:
        told = f"GPU {gpu.index} is {degrees:.0f} °C hot"
        told += "." if slows is None else f", and slows itself down at {slows:.0f} °C."
        values: dict[str, Value] = {"gpu": gpu.index, "celsius": degrees, "slowdown_celsius": slows}
        signs.append(Sign("gpu_hot", bad, told, values, str(gpu.index), hold=5.0, clear=30.0))


def _ecc(gpu: Gpu, errors: int, memory: NodeMemory, now: float, signs: list[Sign]) -> None:
    known, grew_at = memory.ecc.get(gpu.index, (-1, 0.0))
    if known not in (-1, errors):
        grew_at = now if errors > known else 0.0
    if known != errors:
        memory.ecc[gpu.index] = errors, grew_at
    grew = bool(grew_at) and now - grew_at < GREW_SECONDS
    told = f"GPU {gpu.index} has had {errors} memory errors that could not be corrected"
    told += f", the last one {max(0.0, now - grew_at) / 60:.0f} min ago." if grew else "."
    signs.append(
        Sign("gpu_ecc", "critical" if grew else "warning", told, {"gpu": gpu.index, "errors": errors}, str(gpu.index))
    )
