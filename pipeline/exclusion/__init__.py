"""Lists of evaluation images that must not be trained on."""
