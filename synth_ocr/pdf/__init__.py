"""Pages of PDF documents (PyMuPDF)."""
