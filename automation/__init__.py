"""Warrant's engine room: whatever a workload needs that is not its own."""

import os

# LightGBM's threads spin while they wait for each other. Where two processes share the cores, as two runs of Dagster's
# do, each spins away what the other's threads are waited for (docs/decisions/0131-threads-that-wait-do-not-spin.md).
# Read when its library is loaded, so it is set before anything else; whoever sets it otherwise keeps that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
