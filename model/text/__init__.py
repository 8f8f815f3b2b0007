"""The tokenizer, and the encoding of samples as token ids with labels."""
