"""The tables of the cluster, one noun a file."""

from cluster.models.experiment import Experiment, ExperimentRun
from cluster.models.history import HistoryRow
from cluster.models.incident import Incident
from cluster.models.join_token import JoinToken
from cluster.models.node import Node
from cluster.models.pool import Pool, PoolNode
from cluster.models.prediction import PredictionPolicy

__all__ = [
    "Experiment",
    "ExperimentRun",
    "HistoryRow",
    "Incident",
    "JoinToken",
    "Node",
    "Pool",
    "PoolNode",
    "PredictionPolicy",
]
