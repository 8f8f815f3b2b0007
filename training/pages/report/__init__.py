"""``qvl train report``: the curves of a run in one HTML file."""
