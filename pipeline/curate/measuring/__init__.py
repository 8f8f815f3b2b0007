"""Stages scan and score: they turn every input row into measured columns."""
