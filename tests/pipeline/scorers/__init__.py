"""Tests of the scorers that come with qvl."""
