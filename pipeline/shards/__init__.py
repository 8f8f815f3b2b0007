"""WebDataset shards with an index beside each: writing, reading, order of samples, mixtures."""
