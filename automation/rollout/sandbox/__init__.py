"""Models that bring code of their own run here, where they can only compute (docs/threat-model-of-models.md).

`running.Sandbox` predicts with one; `failure.ModelFailedError` says what it did instead; `mlmodel.signature` reads
which columns it takes without running it; `probing.probe` finds which protections this machine gives. Nothing is
imported here: the process that is confined imports from this package, too.
"""
