"""What a training run will take before it starts: memory, time and cost."""
