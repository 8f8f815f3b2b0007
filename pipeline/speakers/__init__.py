"""Models that answer questions about rows: prompts, requests, what answers say, and the store of all answers."""
