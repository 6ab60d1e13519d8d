"""The API for keys: what a key is, and for those with the scope `keys`, the life of others."""
