"""Picture files: what they hold beside their pixels too, read and written in whole levels; no torch."""
