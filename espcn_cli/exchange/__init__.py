"""Networks for other programs: text or bytes from a checkpoint, one module per format, without PyTorch."""
