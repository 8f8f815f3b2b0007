"""A page with its lines of text: geometry, rules, visibility, verification."""
