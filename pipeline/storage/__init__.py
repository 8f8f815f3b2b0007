"""Local paths, object stores behind fsspec, retries, atomic replacement, Arrow files."""
