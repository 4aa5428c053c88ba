"""Data contracts: versioned promises about datasets, read from ODCS YAML, compiled and enforced.

`contracts.document` reads them, `contracts.lint` says what is wrong with them, `contracts.enforcement` splits rows into
valid and quarantined, `contracts.expectations` judges whole partitions, `contracts.json_schema` judges single events,
`contracts.page` and `contracts.wording` say them in words. Nothing here imports anything else of ours.
"""
