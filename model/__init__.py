"""Qwen-VL in torch and transformers: vision, adapter, language model. Reading order: docs/model.md."""
