"""HTML pages about training: mixtures, runs, journeys, experiments."""
