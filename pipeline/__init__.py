"""Curation base: rows, columns, filters, ledger, shards, manifests, reports. Imports no torch."""
