"""The verdict of a row that stays in the dataset. Every other verdict is the reason why a row was dropped."""

KEEP = "keep"
