"""What the cores can compute at best: a product of large matrices; a worker of `inference.py`."""

from __future__ import annotations

import sys

import numpy as np
from _paired import serve

SIDE = 2048


def main() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), dtype=np.float32)
    serve(lambda: ({"multiply_adds": SIDE**3}, {"matrix product": lambda: a @ b}))


if __name__ == "__main__":
    sys.exit(main())
