"""Tokenizer, and samples as token ids with labels."""
