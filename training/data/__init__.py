"""From shards to batches: lengths, packing, schedule, encoding, loading."""
