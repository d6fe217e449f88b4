"""What handling events costs: rates, delays, memory, and taking over from a killed worker."""
