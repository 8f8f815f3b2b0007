"""Datasets that are made rather than filtered: the build loop, text and dialogues, and third-party WebDataset tars."""
