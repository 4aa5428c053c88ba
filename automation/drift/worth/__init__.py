"""The decision to retrain: what a new model is expected to save, against what it costs to have one.

`plan` declares windows, costs and the budget, `windows` cuts a training set to a window, `backtest` has newer models
and older ones decide the same days, `judging` says what retraining is worth, and `budget` how often it may be tried.
Nothing here reads a clock or a database; models are trained by whoever asks.
"""
