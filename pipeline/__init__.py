"""Curation of image-text pairs, and the base of every builder. Only a worker that scores with CLIP imports torch."""
