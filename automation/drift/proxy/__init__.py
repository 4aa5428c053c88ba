"""Performance estimated without labels, while these lag."""
