"""Scorers that come with qvl: `qvl.scorers.NAME` in a recipe."""
