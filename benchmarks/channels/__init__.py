"""What custom channels cost: routing, added delay, catching up, idle channels, taking over."""
