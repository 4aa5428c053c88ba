"""Which column is computed from which, and who reads it: found in the code, not in a list that somebody keeps."""
