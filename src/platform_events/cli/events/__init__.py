"""Events as lines of text: read, published, judged, printed."""
