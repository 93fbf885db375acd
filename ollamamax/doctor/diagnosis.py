"""What `ollamamax doctor` says of one thing, and the exit code that all of it comes to. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Grade(IntEnum):
    """The greatest of all is the program's exit code."""

    FINE = 0
    WARNING = 1
    """It works, and will not for ever, or not under every circumstance."""
    FAULT = 2
    """It does not work, or loses data or secrets when something happens that will happen."""


@dataclass(frozen=True)
class Diagnosis:
    """``code`` stays the same from release to release; ``remedy`` says what to do and is empty where nothing is to be done."""

    code: str
    grade: Grade
    text: str
    remedy: str = ""


def fine(code: str, text: str) -> Diagnosis:
    return Diagnosis(code, Grade.FINE, text)


def warning(code: str, text: str, remedy: str) -> Diagnosis:
    return Diagnosis(code, Grade.WARNING, text, remedy)


def fault(code: str, text: str, remedy: str) -> Diagnosis:
    return Diagnosis(code, Grade.FAULT, text, remedy)


def worst(found: Iterable[Diagnosis]) -> Grade:
    return max((each.grade for each in found), default=Grade.FINE)
