"""Scenes: text drawn on paper on a photograph, as SynthDoG does."""
