"""Networks of others into checkpoints of ours, and ours into what others run."""
