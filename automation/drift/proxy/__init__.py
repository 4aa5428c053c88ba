"""The proxy channel: performance estimated without labels, while these lag, and checked against what came out later.

`expected` estimates, `conformal` gives the estimates intervals, `plan` declares both, and `watch` is carried from day
to day and kept by `state`. It may ask that a challenger be shadowed. It cannot ask for more: an estimate that takes the
model's own probabilities for true is blind to these being wrong. Nothing here reads a clock or a database.
"""
