"""Retraining as one command: what changed, a new model, the gate, and a report of it all."""
