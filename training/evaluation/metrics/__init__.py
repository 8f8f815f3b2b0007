"""One file per metric: pure functions of texts and boxes, checked against hand-computed cases."""
