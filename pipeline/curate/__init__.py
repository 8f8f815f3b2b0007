"""A curation from start to end: its stages, what a run reuses, and what it will cost."""
