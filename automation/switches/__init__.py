"""Kill switches of a workload, its actions and its model versions, kept in the ledger and read through OpenFeature."""
