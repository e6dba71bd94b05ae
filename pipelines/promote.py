"""Put the evaluated model to the gate; the registry follows its decision."""

from sgseg.commands.promote import said
from sgseg.config import load_params
from sgseg.errors import exit_with_message
from sgseg.registry import promote


def main() -> None:
    print(said(promote(".", load_params())), end="")


if __name__ == "__main__":
    exit_with_message(main)
