"""What MLflow runs when it loads the model ("models from code"): no pickle."""

from mlflow.models import set_model

from sgseg.serving.pyfunc import SegmentationModel

set_model(SegmentationModel())
