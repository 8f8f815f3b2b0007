"""A page and its lines of text: geometry, character rules, visibility, and the rules that accept or reject it."""
