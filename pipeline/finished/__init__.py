"""Questions to a finished output: what-if, threshold search, trace, audit."""
