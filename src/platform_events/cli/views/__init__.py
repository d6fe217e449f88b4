"""What commands show of plans, channels and replay IDs."""
