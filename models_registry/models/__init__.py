"""The tables of the registry, one noun a file."""

from models_registry.models.alias import Alias
from models_registry.models.blob import Blob
from models_registry.models.blob_pieces import BlobPieces
from models_registry.models.blob_shape import BlobShape
from models_registry.models.client_key import ClientKey
from models_registry.models.image import Image
from models_registry.models.job import Job
from models_registry.models.mirror import Mirror, MirroredBlob, MirroredImage, MirroredTag
from models_registry.models.model import Channel, Model
from models_registry.models.promotion import Promotion, PromotionPolicy
from models_registry.models.release import ChannelMove, Release
from models_registry.models.replica import Replica
from models_registry.models.replication_policy import ReplicationPolicy
from models_registry.models.rollout import Rollout, RolloutAnswer
from models_registry.models.upload import Upload
from models_registry.models.version import Version

__all__ = [
    "Alias",
    "Blob",
    "BlobPieces",
    "BlobShape",
    "Channel",
    "ChannelMove",
    "ClientKey",
    "Image",
    "Job",
    "Mirror",
    "MirroredBlob",
    "MirroredImage",
    "MirroredTag",
    "Model",
    "Promotion",
    "PromotionPolicy",
    "Release",
    "Replica",
    "ReplicationPolicy",
    "Rollout",
    "RolloutAnswer",
    "Upload",
    "Version",
]
