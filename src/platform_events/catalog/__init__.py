"""What exists now: the catalog of definitions, and how definitions become topics."""
