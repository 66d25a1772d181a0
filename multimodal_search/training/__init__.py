"""Training of the heads on the feature table: batches, losses, warm starts, the loop, and the choice."""
