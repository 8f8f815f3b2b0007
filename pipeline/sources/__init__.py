"""Readers: one module per input layout, all giving the same rows."""
