"""What people write: definition files, where each value stands in them, and what is wrong."""
