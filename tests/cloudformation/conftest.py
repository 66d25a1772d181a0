"""Templates as parsed by cfn-lint, and moto to make their stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "cloudformation"


class Template:
    """One template, parsed."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / name
        parsed, problems = pytest.importorskip("cfnlint.decode").decode(str(self.path))
        assert not problems
        self.body: dict[str, Any] = parsed

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The properties of every resource of a kind."""
        return [one["Properties"] for one in self.body["Resources"].values() if one["Type"] == kind]

    def values(self, key: str, node: Any = None) -> Iterator[Any]:
        """Every value under a key, anywhere in the resources."""
        node = self.body["Resources"] if node is None else node
        for name, value in node.items() if isinstance(node, dict) else ():
            if name == key:
                yield from value if isinstance(value, list) else [value]
        inner = node.values() if isinstance(node, dict) else node
        for one in inner:
            if isinstance(one, dict | list):
                yield from self.values(key, one)

    def first_start(self, **names: str) -> str:
        """The instance's user data, with the names filled in."""
        (instance,) = self.of("AWS::EC2::Instance")
        text = instance["UserData"]["Fn::Base64"]["Fn::Sub"]
        text = text if isinstance(text, str) else text[0]
        for name, value in {"AWS::Region": "us-east-1", **names}.items():
            text = text.replace("${" + name + "}", value)
        return str(text.replace("${!", "${"))


@pytest.fixture(scope="session")
def read() -> Callable[[str], Template]:
    """``read("job.yaml")``."""
    return Template


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A session of boto3 in moto's account."""
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with moto.mock_aws():
        yield boto3.Session(region_name="us-east-1")


@pytest.fixture
def make(account: Any) -> Callable[..., tuple[dict[str, str], set[str]]]:
    """Makes a template's stack: (its outputs, the kinds of what was made)."""

    def run(path: Path, **parameters: str) -> tuple[dict[str, str], set[str]]:
        images = account.client("ec2").describe_images(Owners=["amazon"])["Images"]
        chosen = {"ImageId": images[0]["ImageId"], **parameters}
        # moto does not resolve this type of parameter
        body = path.read_text().replace(
            "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "AWS::EC2::Image::Id"
        )
        stacks = account.client("cloudformation")
        stacks.create_stack(
            StackName="mine",
            TemplateBody=body,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in chosen.items()],
        )
        stack = stacks.describe_stacks(StackName="mine")["Stacks"][0]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        made = stacks.list_stack_resources(StackName="mine")["StackResourceSummaries"]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        return outputs, {one["ResourceType"] for one in made}

    return run
