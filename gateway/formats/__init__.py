"""How dates and times are written, whatever the language."""
