"""One module per way of publishing and consuming the same events."""
