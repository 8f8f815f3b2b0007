"""The whole path as one thing: datasets, training with held-out images, scores after each stage, one page."""
