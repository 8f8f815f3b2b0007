"""``qvl doctor``: what is installed, what this machine has, and the one command that mends each thing that is missing."""
