"""Drift: whether the world has changed, whether that does harm, and what is worth doing about it."""
