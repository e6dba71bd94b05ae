"""Runs in MLflow: the only package that writes them.

MLflow is a view of files: what a run shows lies in the outputs of a stage, with a run.json that
says whose it is. Importing this package does not import mlflow.
"""

from sgseg.tracking.evaluation import log_evaluation, write_evaluation
from sgseg.tracking.identity import (
    CrossValidation,
    DatasetInput,
    FoldIdentity,
    TuningRecord,
    read_fold,
    read_tuning,
)
from sgseg.tracking.live import LiveFold, live_fold
from sgseg.tracking.provenance import (
    code_digest,
    cross_validation,
    dvc_md5,
    git_state,
    provenance_tags,
    tuning_study,
)
from sgseg.tracking.quantify import log_quantification, write_quantification
from sgseg.tracking.restore import Restored
from sgseg.tracking.store import StoreError, tracking_uri
from sgseg.tracking.track import track
from sgseg.tracking.tuning import log_trial, log_tuning, write_tuning

__all__ = [
    "CrossValidation",
    "DatasetInput",
    "FoldIdentity",
    "LiveFold",
    "Restored",
    "StoreError",
    "TuningRecord",
    "code_digest",
    "cross_validation",
    "dvc_md5",
    "git_state",
    "live_fold",
    "log_evaluation",
    "log_quantification",
    "log_trial",
    "log_tuning",
    "provenance_tags",
    "read_fold",
    "read_tuning",
    "track",
    "tracking_uri",
    "tuning_study",
    "write_evaluation",
    "write_quantification",
    "write_tuning",
]
