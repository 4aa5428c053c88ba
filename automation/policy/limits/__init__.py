"""Limits on what a workload's automation may do in an hour or a day. The ledger remembers the use of them."""
