"""Who may call: keys, their secrets, and how a caller is recognised."""
