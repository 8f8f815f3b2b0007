"""Stage select: filters and duplicate rules turn columns into one verdict for each row."""
