"""A curation from start to end: its stages, what a run reuses, what it will cost."""
