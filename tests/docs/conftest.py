"""`--run-commands`: run the commands of the pages (minutes), not only look them up."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--run-commands", action="store_true", help="run the commands of README and docs"
    )
