"""What the gateway costs: the stub upstream, the load, the floor and the table."""
