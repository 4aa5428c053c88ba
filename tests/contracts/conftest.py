"""A toy contract about parcels, and the means to change its document one piece at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.document import Contract, load

PARCEL = Path(__file__).parent / "parcels" / "parcel.odcs.yaml"


@pytest.fixture(scope="session")
def parcel() -> Contract:
    return load(PARCEL)


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], object]], Path]:
    """The path of the parcel document after one change to its tree."""

    def write(change: Callable[[dict[str, Any]], object]) -> Path:
        tree = yaml.safe_load(PARCEL.read_text())
        change(tree)
        path = tmp_path / "parcel.odcs.yaml"
        path.write_text(yaml.safe_dump(tree))
        return path

    return write
