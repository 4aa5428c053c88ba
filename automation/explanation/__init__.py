"""Explanation: why a case was decided as it was, what would have decided it otherwise, how sure that is; and whether
the decision comes out the same when it is made again from its evidence."""
