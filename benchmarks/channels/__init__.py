"""What custom channels cost: routing, the delay that a channel adds, catching up, idle channels."""
