"""Replay IDs: where one event stands in one stream, as bytes that clients keep and send back."""
