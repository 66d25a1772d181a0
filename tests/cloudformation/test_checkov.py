"""checkov finds nothing but the exceptions that the templates argue; opt-in: minutes to install."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

OPT_IN = "MULTIMODAL_SEARCH_TEST_CHECKOV"
FOLDER = Path(__file__).parents[2] / "cloudformation"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(OPT_IN not in os.environ, reason=f"{OPT_IN}=1 runs it")
def test_checkov_finds_nothing(environment: Callable[..., Path]) -> None:
    checkov = environment("checkov", ["checkov==3.3.30"]).with_name("checkov")
    flags = ["--skip-download", "--compact", "--framework", "cloudformation", "-o", "json", "-d", str(FOLDER)]
    done = subprocess.run([checkov, *flags], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["results"]
    assert [(one["check_id"], one["resource"]) for one in found["failed_checks"]] == []
    assert len(found["passed_checks"]) > 30
    argued = sum(path.read_text().count("- id: CKV_") for path in FOLDER.glob("*.yaml"))
    assert len(found["skipped_checks"]) == argued, "an exception that nothing needs any more"
