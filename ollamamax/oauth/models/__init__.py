"""The models of OAuth."""

from ollamamax.oauth.models.workload import Workload

__all__ = ["Workload"]
