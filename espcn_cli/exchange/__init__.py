"""Networks of others as checkpoints of ours, and ours for other programs: one module per format."""
