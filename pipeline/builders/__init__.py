"""Datasets that are made rather than filtered: the build loop, text, and foreign WebDataset tars."""
