"""Put the evaluated model to the gate; the registry follows its decision.

In a retrain (SGSEG_PROPOSE=1) the champion stays until the result is merged. What is written here
is the same.
"""

import os

from sgseg.commands.promote import said
from sgseg.config import load_params
from sgseg.errors import exit_with_message
from sgseg.registry import promote


def main() -> None:
    propose = os.environ.get("SGSEG_PROPOSE") == "1"
    print(said(promote(".", load_params(), propose=propose)), end="")


if __name__ == "__main__":
    exit_with_message(main)
