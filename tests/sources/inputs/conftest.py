"""Settings of ``embed`` and the inputs that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multimodal_search.settings import EmbedSettings
from multimodal_search.sources.inputs import Inputs, open_inputs

Opened = Callable[..., Inputs]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """``open_inputs`` with these settings."""

    def open_them(**settings: Any) -> Inputs:
        return open_inputs(EmbedSettings(out="unused", **settings), sample_dir=tmp_path / "sample")

    return open_them
