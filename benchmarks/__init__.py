"""Benchmarks: this SDK against the ways people use Kafka from Python today."""
