"""Shards to token stream to three training stages."""
