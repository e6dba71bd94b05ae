"""`python -m sgseg.preview`: what a change does to the pipeline, for those who work on sgseg."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sgseg.errors import exit_with_message
from sgseg.preview.run import preview


def main() -> int:
    """Make a preview and show its page; 1 if the pipeline failed."""
    parser = argparse.ArgumentParser(prog="python -m sgseg.preview", description=__doc__)
    parser.add_argument(
        "--base", default="origin/main", help="branch, tag or commit to compare with"
    )
    parser.add_argument("--out", type=Path, default=Path("reports/preview"), metavar="DIR")
    parser.add_argument("--build", type=Path, default=Path("build/preview"), metavar="DIR")
    arguments = parser.parse_args()
    is_well = preview(Path.cwd(), arguments.base, arguments.out, arguments.build)
    sys.stdout.write((arguments.out / "summary.md").read_text(encoding="utf-8"))
    return 0 if is_well else 1


if __name__ == "__main__":
    exit_with_message(main)
