"""Readers of source rows: WebDataset tars and tables."""
