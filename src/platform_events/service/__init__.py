"""Servers for programs that do not use the SDK."""
