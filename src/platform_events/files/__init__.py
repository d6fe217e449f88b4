"""What people write: definition files, where each value is in them, and what is wrong."""
