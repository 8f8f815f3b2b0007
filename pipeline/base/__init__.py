"""What every room uses: errors, the model of recipes, worker pools, progress, array helpers."""
