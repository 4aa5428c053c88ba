"""Alerts: a gate that failed or a run that raised reaches the people it concerns, once, whoever started the run."""
