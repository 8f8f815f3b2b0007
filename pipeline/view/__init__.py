"""``qvl view``: a local web app over a finished output. It reads, and never writes."""
