"""Runs in MLflow: the only package that writes them.

MLflow is a view of files: what a run shows lies in the outputs of a stage, with a run.json that
says whose it is. Importing this package does not import mlflow.
"""

from sgseg.tracking.evaluation import log_evaluation, write_evaluation
from sgseg.tracking.identity import CrossValidation, DatasetInput, FoldIdentity, read_fold
from sgseg.tracking.live import LiveFold, live_fold
from sgseg.tracking.provenance import (
    code_digest,
    cross_validation,
    dvc_md5,
    git_state,
    provenance_tags,
)
from sgseg.tracking.restore import Restored
from sgseg.tracking.store import StoreError, tracking_uri
from sgseg.tracking.track import track

__all__ = [
    "CrossValidation",
    "DatasetInput",
    "FoldIdentity",
    "LiveFold",
    "Restored",
    "StoreError",
    "code_digest",
    "cross_validation",
    "dvc_md5",
    "git_state",
    "live_fold",
    "log_evaluation",
    "provenance_tags",
    "read_fold",
    "track",
    "tracking_uri",
    "write_evaluation",
]
