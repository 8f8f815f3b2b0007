"""Duplicate rules as pure functions of arrays: equal keys, near hashes, near vectors."""
