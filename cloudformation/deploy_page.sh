#!/usr/bin/env bash
# Puts the search page online, over a bundle and an image that are in a bucket (deploy.sh and run.sh put them there):
#   cloudformation/deploy_page.sh STACK CertificateArn=arn:... AllowedCidr=203.0.113.0/24 BucketName=B BundlePrefix=runs/R/output
set -euo pipefail
stack=${1:?the name of the stack, then Parameter=Value ...}
shift
here=$(cd "$(dirname "$0")" && pwd)
value() { local one; for one in "$@"; do case "$one" in "$name="*) echo "${one#*=}" ;; esac; done; }
for name in CertificateArn AllowedCidr BucketName BundlePrefix; do
  [ -n "$(value "$@")" ] || { echo "$name=... is missing" >&2; exit 2; }
done
bucket=$(name=BucketName; value "$@") prefix=$(name=BundlePrefix; value "$@")
for key in image/multimodal-search.tar.gz "$prefix/bundle.json"; do
  aws s3 ls "s3://$bucket/$key" > /dev/null || { echo "there is no s3://$bucket/$key" >&2; exit 2; }
done
aws cloudformation deploy --stack-name "$stack" --template-file "$here/page.yaml" \
  --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides "$@"
echo "point your certificate's name (CNAME) to $("$here/output.sh" "$stack" Address)"
echo "token   aws secretsmanager get-secret-value --query SecretString --output text --secret-id $("$here/output.sh" "$stack" TokenArn)"
