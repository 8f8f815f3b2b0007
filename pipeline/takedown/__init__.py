"""Removing samples from a finished output."""
