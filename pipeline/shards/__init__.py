"""WebDataset shards with an index next to each: writing, reading, order of samples, mixtures."""
