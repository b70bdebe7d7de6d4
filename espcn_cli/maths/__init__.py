"""Pure functions on arrays: colour, resizing, where tiles lie; no files and no torch."""
