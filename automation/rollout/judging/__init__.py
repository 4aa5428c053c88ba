"""What is judged of a candidate model before it may go on: pure functions of plain values, without clock or database.

`plan` declares the limits; `holdout` is what a candidate is judged on; `resampling` and `metrics` measure; `beside`,
`slices`, `leak`, `decisions`, `signature`, `reproducing` and `cost` each find one thing; `findings` holds all of it,
`gates` says what passed, and `card` writes it down for people.
"""
