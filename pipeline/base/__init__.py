"""What every room uses: errors, the base model of recipes, worker pools, progress, array helpers."""
