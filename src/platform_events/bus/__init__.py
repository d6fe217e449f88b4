"""The SDK: publish events, subscribe to streams."""
