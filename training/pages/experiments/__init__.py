"""Experiments: one training recipe under several settings and seeds, the same held-out questions, one page."""
