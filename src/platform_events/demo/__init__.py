"""A week of real flights as events, and the tour that `platform-events demo` gives with them."""
