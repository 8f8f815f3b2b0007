"""``qvl doctor``: what is installed, what this machine has, and the one command that fixes each missing thing."""
