"""Loading, saving, importing and exporting weights."""
