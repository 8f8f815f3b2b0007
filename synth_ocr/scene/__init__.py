"""Scenes: text drawn on paper on a photograph, after SynthDoG."""
