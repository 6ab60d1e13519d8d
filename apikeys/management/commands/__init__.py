"""The commands for keys."""
