"""The inputs of a model have changed: seen day by day, with a stated chance of a false alarm, and which inputs.

`plan` declares the rates, `scales` turns a day's cases into a few numbers a feature, `betting` is the statistics,
`watch` is carried from day to day and kept by `state`, `words` says it, `movers` ranks what has changed by what it does
to the model, `faults` tells a broken feed from a changed world, and `chart` draws. Nothing here reads a clock or a
database.
"""
