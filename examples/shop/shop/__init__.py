"""A shop that publishes its orders and makes invoices of them."""
