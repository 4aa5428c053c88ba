"""Drift: whether the world has changed, whether that does harm, and what is worth doing about it.

- `inputs`: the model's inputs have changed, and which; and what looks like a fault of a feed instead.
- `proxy`: how the champion does while its outcomes are not there, estimated from its own probabilities.
- `harm`: the champion's realised loss has become more than it was.
- `worth`: whether a new model is worth what it costs.
"""
