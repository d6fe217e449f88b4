"""Workers: handlers of a stream's events, in consumer groups."""
