"""Data contracts: versioned promises about datasets, read from ODCS YAML, compiled and enforced.

`contracts.document` reads them, `contracts.enforcement` splits rows into valid and quarantined,
`contracts.expectations` judges whole partitions. Nothing here imports anything else of ours.
"""
