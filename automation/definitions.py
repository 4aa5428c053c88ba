"""The code location: everything in the defs folder, which is every workload and the resources they are handed.

It is imported again by the webserver, the daemon and every run, so nothing slow is imported here, and nothing is
opened: no database, no file of data, no network.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent.parent)
