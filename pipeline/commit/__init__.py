"""How results become visible: attempts, manifests, fingerprints, the layout of an output, its lock and its lease."""
