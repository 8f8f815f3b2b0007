"""Run the model on samples: batched decoding, and pieces that are answered once and committed."""
