"""Simulated fields of stressed cells with their truth: the built-in data set."""

from sgseg.dataset.simulate.field import Field, simulate_field
from sgseg.dataset.simulate.handover import simulate_dataset

__all__ = ["Field", "simulate_dataset", "simulate_field"]
