"""The Python API: run a curation and work with a finished output. Users import it from ``qvl``."""
