"""The report of a curation: one self-contained HTML page, and the same figures as JSON."""
