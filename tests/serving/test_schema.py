"""Requests made from /openapi.json: whatever is asked, no 5xx, and nothing that is not documented."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

schemathesis = pytest.importorskip("schemathesis")

from schemathesis import GenerationMode, checks  # noqa: E402
from schemathesis.specs.openapi import checks as openapi_checks  # noqa: E402

CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]
CASES = int(os.environ.get("MULTIMODAL_SEARCH_API_CASES", "400"))


@pytest.mark.slow
def test_no_5xx_and_no_undocumented_status(open_client: Callable[..., Any], own_bundle: Path) -> None:
    """2,000 cases by hand: MULTIMODAL_SEARCH_API_CASES=2000."""
    client = open_client(own_bundle, rate_per_second=1e6)
    here = {"Host": "127.0.0.1"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app, headers=here)
    operations = [one.ok() for one in schema.get_all_operations()]
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    each = -(-2 * CASES // (len(operations) * len(modes)))  # some have only one thing to ask
    seen: Counter[int] = Counter()
    for operation in operations:
        for mode in modes:

            @settings(
                max_examples=each,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                response = case.call(headers=here)
                seen[response.status_code] += 1
                case.validate_response(response, checks=CHECKS)

            try:
                check()
            except Exception as error:
                if type(error).__name__ != "Unsatisfiable":  # an operation without anything to get wrong
                    raise
    print(dict(seen))
    assert sum(seen.values()) >= CASES
    assert seen[200]
