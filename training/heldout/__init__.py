"""Held-out images during and after training: which, what is asked about them, and their loss."""
