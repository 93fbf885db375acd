"""The tables of batches, one noun a file."""

from ollamamax.batches.models.answer import Answer
from ollamamax.batches.models.batch import Batch
from ollamamax.batches.models.file import File

__all__ = ["Answer", "Batch", "File"]
