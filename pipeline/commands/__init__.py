"""Command-line commands and what they print. Wiring only."""
