"""Whether a new model may replace the one in use: files in, a decision out; no registry here."""
