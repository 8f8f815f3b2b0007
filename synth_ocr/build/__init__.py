"""From a recipe to OCR shards, ledger rows and the report."""
