"""Held-out samples: which they are, what models are asked about them, and the loss of their true answers."""
