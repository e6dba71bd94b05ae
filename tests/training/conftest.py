"""What the tests of training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tensorflow as tf


@pytest.fixture
def eager() -> Iterator[None]:
    """Networks run without being compiled first, which takes most of the time of these trainings.

    Not to be compared to the bit with one that was compiled: rounding may differ.
    """
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
