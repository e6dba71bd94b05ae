"""Colours, shapes and lines of the figures, to be told apart in print and by anyone."""

from __future__ import annotations

# Okabe & Ito's palette, told apart with any colour vision; shapes and lines also in gray.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES = ("-", "--", "-.", ":")
