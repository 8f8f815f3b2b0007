"""Regions of an image as text: coordinates, dialects, parsing."""
