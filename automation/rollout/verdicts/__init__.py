"""Verdicts on a challenger: promote, abort or wait, from evidence whose error rates hold however often it is looked at.

`plan` declares the claims and their error rates, `pairs` holds what a day's cases cost under both models, `betting` is
the statistics, `watch` the state that is carried from day to day, and `chart` draws it. Nothing here reads a clock or a
database.
"""
