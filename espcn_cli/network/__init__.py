"""The network family, the sub-pixel convolution, and the checkpoints that hold its weights."""
