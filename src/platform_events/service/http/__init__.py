"""What is served over HTTP. Needs the extra `service`."""
