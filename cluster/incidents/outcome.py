"""Whether a prediction came true: which incidents are the fault that it named. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.health.sign import PREDICTED

FAULTS: Mapping[str, frozenset[str]] = {
    f"{PREDICTED}disk_full": frozenset({"disk_full"}),
    f"{PREDICTED}memory_full": frozenset({"out_of_memory", "engine_crashed", "node_lost"}),
    f"{PREDICTED}gpu_memory_full": frozenset({"out_of_memory", "engine_crashed"}),
    f"{PREDICTED}gpu_hot": frozenset({"gpu_throttled", "gpu_gone"}),
    f"{PREDICTED}gpu_memory_errors": frozenset({"gpu_memory_errors", "gpu_gone", "gpu_fault"}),
    f"{PREDICTED}engine_slow": frozenset({"slow", "engine_hung", "engine_crashed"}),
    f"{PREDICTED}engine_failing": frozenset({"requests_failing", "engine_hung", "engine_crashed"}),
    f"{PREDICTED}clock_skew": frozenset({"clock_skew"}),
}
"""Kind of a prediction -> kinds of incidents of the same node, one of which begins while it stands when it comes true."""
