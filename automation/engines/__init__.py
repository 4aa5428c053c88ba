"""What computes derived tables: DuckDB in this process, or Spark, behind one interface and with one result.

Every engine is handed the same Ibis expressions and gives the same table to the byte: the tests in tests/engines hold
it. Which one computes is a setting, of the machine (`WARRANT_ENGINE`) or of the workload (`engine:` in its defs.yaml).
"""
