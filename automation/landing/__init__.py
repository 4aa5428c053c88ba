"""The door: files that people drop into the landing folder become rows of the workload's feeds, each exactly once."""
