"""From a recipe to grounding shards."""
