"""What a model is asked: samples from shards and public files, their prompts, the split, limits and few-shot examples."""
