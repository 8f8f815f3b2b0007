"""Command-line commands of training, evaluation and mixtures. Wiring only."""
