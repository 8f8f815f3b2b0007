"""What a user writes: the recipe of a curation, and the YAML file that holds it."""
