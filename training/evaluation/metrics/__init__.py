"""One file per metric: pure functions of texts and places, checked against hand-computed cases."""
