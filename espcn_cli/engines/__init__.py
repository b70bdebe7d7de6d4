"""Engines: a network ready to run, levels in, levels out; and the choice of device and precision."""
