"""``multimodal-search serve``."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import bundle_at_hand
from multimodal_search.errors import require
from multimodal_search.settings import ServeSettings, parse


def main(argv: Sequence[str]) -> int:
    """One call; what is done is in the log."""
    settings = parse(ServeSettings, argv, prog="multimodal-search serve", summary=COMMANDS["serve"])
    set_up(settings)
    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        require(module, extra="serve")
    from multimodal_search.serving.server import serve

    local = bundle_at_hand(settings)
    if local is not settings:
        print(f"The bundle is served from {local.bundle}: scenarios that are saved stay there.")
    return serve(local)
