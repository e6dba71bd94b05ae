"""The registered model: its versions, who is in use, and how that came about.

A version is a bundle (contract 6), known by its digest. Two aliases point at versions:
`challenger`, the newest candidate, and `champion`, the one in use. Importing this package does not
import mlflow.
"""

from sgseg.registry.aliases import change_alias, read_log
from sgseg.registry.bundles import bundle_of
from sgseg.registry.history import Change
from sgseg.registry.models import CHALLENGER, CHAMPION, MODEL, Registry, Version, open_registry
from sgseg.registry.registration import register
from sgseg.registry.restore import PutBack, put_back
from sgseg.registry.stage import Promotion, promote
from sgseg.registry.steering import promote_version, roll_back

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "MODEL",
    "Change",
    "Promotion",
    "PutBack",
    "Registry",
    "Version",
    "bundle_of",
    "change_alias",
    "open_registry",
    "promote",
    "promote_version",
    "put_back",
    "read_log",
    "register",
    "roll_back",
]
