"""params.yaml as typed, frozen values. An unknown or missing key or a wrong type is an error."""

from sgseg.config.load import load_params, sources_of_space, with_values
from sgseg.config.params import Condition, Params, Simulate, Split, Validate
from sgseg.config.promote import Floors, Margins, Promote
from sgseg.config.quantify import Quantify
from sgseg.config.search import Bounds, Choice, Range, Tune, Variants

__all__ = [
    "Bounds",
    "Choice",
    "Condition",
    "Floors",
    "Margins",
    "Params",
    "Promote",
    "Quantify",
    "Range",
    "Simulate",
    "Split",
    "Tune",
    "Validate",
    "Variants",
    "load_params",
    "sources_of_space",
    "with_values",
]
