"""Synthetic OCR pages: scenes, PDF and HTML, in English and Chinese."""
