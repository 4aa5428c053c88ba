"""The harm channel: whether the champion's realised loss has become more than it was when it was accepted.

`plan` declares what is watched and how rarely it may raise a false alarm, `losses` says what a day of decisions lost,
`detector` is the statistics, `watch` is carried from day to day and kept by `state`, and `chart` draws it. Nothing here
reads a clock or a database.
"""
