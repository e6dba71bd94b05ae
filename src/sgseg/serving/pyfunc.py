"""The model as MLflow sees it: a table with a column `image` in, one answer per image out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel

from sgseg.errors import InputError
from sgseg.inference.segmenter import Segmenter
from sgseg.serving.answer import Answer, in_a_request
from sgseg.serving.http import install
from sgseg.serving.request import of_rows
from sgseg.serving.service import Service


class SegmentationModel(PythonModel):  # type: ignore[misc]
    """A bundle behind MLflow's `predict`."""

    def __init__(self) -> None:
        self.service: Service | None = None

    @property
    def segmenter(self) -> Segmenter:
        """The loaded bundle."""
        return self._loaded().segmenter

    def load_context(self, context: Any) -> None:
        """Load the bundle among the artifacts."""
        self.service = Service.load(Path(context.artifacts["bundle"]), context.model_config)
        install(_service_of)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[Answer]:
        """One answer per row of a data frame with the bytes of image files; see `answered`."""
        columns = [str(name) for name in model_input.columns]
        values = [[_plain(value) for value in model_input[name]] for name in columns]
        try:
            request = of_rows(columns, list(zip(*values, strict=True)), params)
        except InputError as error:
            # Of an MlflowException the server passes on the message, of others the stack trace.
            raise MlflowException(in_a_request(str(error)), error_code=BAD_REQUEST) from None
        return self._loaded().answers(request)

    def _loaded(self) -> Service:
        if self.service is None:
            raise RuntimeError("load_context has not run")
        return self.service


def _service_of(model: Any) -> Service | None:
    inner = model.unwrap_python_model()
    return inner.service if isinstance(inner, SegmentationModel) else None


def _plain(value: Any) -> Any:
    """A cell as Python's own type; None where pandas says that it is missing."""
    value = value.item() if hasattr(value, "item") else value
    missing = isinstance(value, float) and math.isnan(value)
    return None if missing or type(value).__name__ == "NAType" else value
