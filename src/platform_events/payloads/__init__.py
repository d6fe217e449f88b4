"""Avro types of payloads, and everything that follows from them: checks, codecs, JSON, defaults."""
