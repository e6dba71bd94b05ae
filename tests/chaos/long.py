"""Faults in earnest: `python tests/chaos/long.py --faults 500`, minutes to an hour.

What it prints last is how many faults were injected and how many losses they caused.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]


def main() -> int:
    """Inject faults into one command after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", action="append", help="one of several; default: all")
    options = parser.parse_args()
    sys.path.insert(0, str(TESTS))

    from chaos.cases import CASES  # noqa: PLC0415
    from chaos.trial import trial  # noqa: PLC0415

    names = options.case or list(CASES)
    injected: Counter[str] = Counter()
    lost = 0
    for name in names:
        rng = random.Random(f"{options.seed} {name}")
        with (
            tempfile.TemporaryDirectory(prefix="chaos-") as place,
            trial(name, CASES[name], Path(place) / "files") as undisturbed,
        ):
            for number in range(-(-options.faults // len(names))):
                if number % 5 == 3 and CASES[name].mends:
                    what, losses = "damaged", list(undisturbed.truncated(rng))
                elif number % 25 == 12:
                    what, losses = "two at once", list(undisturbed.twice_at_once())
                else:
                    what, losses = "fault", list(undisturbed.fault(rng))
                injected[what] += 1
                lost += bool(losses)
                for loss in losses:
                    sys.stdout.write(f"LOSS {name}: {loss.fault}: {loss.what}\n")
            sys.stdout.write(f"{name}: {undisturbed.operations} moments\n")
            sys.stdout.flush()
    kinds = ", ".join(f"{count} {what}" for what, count in injected.items())
    sys.stdout.write(f"{injected.total()} faults injected ({kinds}), {lost} losses\n")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
