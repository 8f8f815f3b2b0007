"""Box annotations (GRIT, Visual Genome, RefCOCO) to grounding samples."""
