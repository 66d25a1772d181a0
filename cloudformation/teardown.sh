#!/usr/bin/env bash
# Deletes the stack; a bucket that it made stays, with what is in it:  cloudformation/teardown.sh STACK
set -euo pipefail
stack=${1:?the name of the stack}
here=$(cd "$(dirname "$0")" && pwd)
bucket=$("$here/output.sh" "$stack" BucketName)
aws cloudformation delete-stack --stack-name "$stack"
aws cloudformation wait stack-delete-complete --stack-name "$stack"
echo "deleted $stack; the bucket is there still: aws s3 rb --force s3://$bucket (it keeps old versions for 30 days)"
