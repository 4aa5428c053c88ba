"""Rollouts and ledgers of `tests.rollout`, on a real server."""

from tests.rollout.conftest import gated, models, promoted, rows, server, settings, workload

__all__ = ["gated", "models", "promoted", "rows", "server", "settings", "workload"]
