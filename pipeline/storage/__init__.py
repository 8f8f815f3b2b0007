"""Local paths, object stores behind fsspec, retries, Arrow files. The only room that knows where bytes are kept."""
