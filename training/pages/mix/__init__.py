"""What a mixture holds: its figures, preflight, duplicates, differences, foreign tars, and takedowns."""
