"""Users' own operators: their base classes, where their code is found, what identifies it, and how it runs."""
