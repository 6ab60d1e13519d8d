"""Whatever comes in: no 500 and no traceback."""
