"""Evaluation: answers of a model to held-out samples, their scores, and a page to look at them."""
