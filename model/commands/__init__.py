"""The command `qvl model`."""
