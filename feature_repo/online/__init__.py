"""The online store: what is known now of each key of a service's views, in about a millisecond.

A *record* is the newest row of one view's key. It is kept twice at most: as the daily lineage materialized it, and as
an event pushed since then made it; a reader takes the newer of the two by (event time, known time). Promises:

- **Known time.** A record counts from `greatest(event time, known time)` on, and a value lives as long as the view's
  time to live: the answer at an instant is the offline store's at that instant.
- **No step back.** A record is never replaced by one with an older (event time, known time), whoever writes when.
- **No misreading.** Records lie under the view's name and a digest of its fields: after a change of the view nothing is
  read until it is materialized anew, so a value is never taken for another.

Records lie in PostgreSQL (the embedded one, by default) or in Redis: `postgresql://…` or `redis://…`.
"""

from feature_repo.online.plan import ServicePlan, ViewPlan, service_plan
from feature_repo.online.reader import OnlineReader
from feature_repo.online.records import Backend, Record, UnknownStoreError, opened

__all__ = [
    "Backend",
    "OnlineReader",
    "Record",
    "ServicePlan",
    "UnknownStoreError",
    "ViewPlan",
    "opened",
    "service_plan",
]
