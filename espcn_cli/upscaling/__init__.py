"""Upscaling: what becomes of which file, and each picture through an engine; no torch."""
