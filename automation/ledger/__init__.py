"""The ledger: what happened, in order, appended once and provable for ever.

Events are appended to streams with compare-and-swap (`store`); a sequencer gives each a leaf of one Merkle tree and
signs its head (`sequencing`); proofs (`tree`) let anybody check that an event is in it and that nothing before was
changed (`warrant_verify`). A witness (`witness`) keeps the log from telling two people two stories.
"""
