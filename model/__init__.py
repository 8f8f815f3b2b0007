"""The Qwen-VL architecture. Imports torch and nothing of the other packages."""
