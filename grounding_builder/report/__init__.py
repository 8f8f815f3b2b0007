"""The report of a grounding dataset."""
