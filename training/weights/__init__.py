"""The weights of a stage: where they come from, what is added while training, and the model folder they become."""
