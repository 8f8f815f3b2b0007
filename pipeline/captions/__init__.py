"""Cleaning captions, counting what they hold, and naming their language."""
