"""Features online: materialized from the day's tables, held to the offline answer, changed at once by pushed events."""
