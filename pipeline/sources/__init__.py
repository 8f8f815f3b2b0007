"""Readers of input rows: WebDataset tars and tables."""
