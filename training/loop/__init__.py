"""Running the stages: engine, optimizer, checkpoints, logs, export."""
