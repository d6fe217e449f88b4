"""The router, which fills channels, and what it says about itself."""
