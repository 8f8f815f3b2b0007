"""Stages scan and score: every input row becomes measured columns."""
