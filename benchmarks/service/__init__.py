"""How the Pub/Sub API service does: it in one process, clients in others."""
