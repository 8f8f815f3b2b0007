"""Pages of PDF documents, verified against a rendering without their text."""
