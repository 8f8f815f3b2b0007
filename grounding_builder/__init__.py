"""Turns box annotations (GRIT, Visual Genome, RefCOCO, COCO) and question-answer sets into samples."""
