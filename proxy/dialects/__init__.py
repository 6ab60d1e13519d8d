"""How we speak to a client: a surface outside a stream, a wire format within it."""
