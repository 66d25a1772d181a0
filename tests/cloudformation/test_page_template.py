"""The template of the search page: HTTPS alone, a token that nobody typed, flags that `serve` knows."""

from __future__ import annotations

import re
import shlex
from typing import Any

from multimodal_search.settings import ServeSettings, parse


def test_only_https_and_only_from_those_allowed(read: Any) -> None:
    template = read("page.yaml")
    (listener,) = template.of("AWS::ElasticLoadBalancingV2::Listener")
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert "TLS13" in listener["SslPolicy"]
    balancer, page = template.of("AWS::EC2::SecurityGroup")
    (rule,) = balancer["SecurityGroupIngress"]
    assert rule["CidrIp"] == {"Ref": "AllowedCidr"}
    (rule,) = page["SecurityGroupIngress"]
    assert rule["SourceSecurityGroupId"] == {"Ref": "BalancerGroup"}
    assert "CidrIp" not in rule
    pattern = template.body["Parameters"]["AllowedCidr"]["AllowedPattern"]
    assert "Default" not in template.body["Parameters"]["AllowedCidr"]
    assert re.fullmatch(pattern, "203.0.113.0/24")
    assert not re.fullmatch(pattern, "0.0.0.0/0")


def test_the_token_is_made_by_aws_and_stays_out_of_the_template(read: Any) -> None:
    template = read("page.yaml")
    (secret,) = template.of("AWS::SecretsManager::Secret")
    assert secret["GenerateSecretString"]["PasswordLength"] >= 32
    assert "SecretString" not in secret
    (token,) = [one for one in template.values("Statement") if one.get("Sid") == "Token"]
    assert token["Resource"] == {"Ref": "Token"}
    script = template.first_start(Token="arn")
    assert "--env MULTIMODAL_SEARCH_TOKEN " in script, "its value is no argument that others could see"
    assert not any(
        "Token" in str(one["Value"]) and name != "TokenArn" for name, one in template.body["Outputs"].items()
    )


def test_the_page_is_started_with_flags_it_knows(read: Any) -> None:
    script = read("page.yaml").first_start(
        BucketName="my-bucket", BundlePrefix="runs/one/output", ImagesPrefix="data", Token="arn"
    )
    words = shlex.split(script[script.index("exec docker run") :].split("\nPAGE\n")[0].replace("\\\n", " "))
    flags = words[words.index("serve") + 1 :]
    settings = parse(ServeSettings, flags, prog="serve", summary="")
    assert str(settings.bundle) == "/output"
    assert str(settings.images_root).endswith("/data")
    assert {"--read-only", "--cap-drop"} <= set(words)


def test_moto_makes_the_stack(read: Any, account: Any, make: Any) -> None:
    """All but the secret, which moto's CloudFormation does not know."""
    certificate = account.client("acm").request_certificate(DomainName="find.example.org")["CertificateArn"]
    outputs, kinds = make(
        read("page.yaml").path,
        CertificateArn=certificate,
        AllowedCidr="203.0.113.0/24",
        BucketName="my-bucket",
        BundlePrefix="runs/one/output",
    )
    balancing = account.client("elbv2")
    (balancer,) = balancing.describe_load_balancers()["LoadBalancers"]
    assert balancer["DNSName"] == outputs["Address"]
    (listener,) = balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert listener["Certificates"][0]["CertificateArn"] == certificate
    (group,) = balancing.describe_target_groups()["TargetGroups"]
    assert group["HealthCheckPath"] == "/healthz"
    assert "AWS::EC2::Instance" in kinds
