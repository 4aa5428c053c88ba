"""The world changes: channels that see it, each with a stated error rate, and what is made of what they see.

- `inputs`: the model's inputs have changed, and which; and what looks like a fault of a feed instead.
"""
