"""What a mixture holds: its figures, preflight, duplicates, differences, third-party tars, and takedowns."""
