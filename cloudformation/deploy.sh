#!/usr/bin/env bash
# Makes or updates the stack, and puts the container's image into its bucket.
#   cloudformation/deploy.sh STACK [Parameter=Value ...]      for example InstanceType=g6e.2xlarge BucketName=my-bucket
# IMAGE names the local image [multimodal-search]; IMAGE= leaves the one in the bucket.
set -euo pipefail
stack=${1:?the name of the stack, then Parameter=Value ...}
shift
here=$(cd "$(dirname "$0")" && pwd)
image=${IMAGE-multimodal-search}
if [ -n "$image" ]; then
  docker image inspect "$image" > /dev/null || {
    echo "there is no image $image: docker build -f docker/Dockerfile -t $image --build-arg DEVICE=cu128 ." >&2
    exit 2
  }
fi
options=()
if [ $# -gt 0 ]; then options=(--parameter-overrides "$@"); fi
aws cloudformation deploy --stack-name "$stack" --template-file "$here/job.yaml" \
  --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset "${options[@]}"
bucket=$("$here/output.sh" "$stack" BucketName)
if [ -n "$image" ]; then
  docker tag "$image" multimodal-search
  docker save multimodal-search | gzip -1 | aws s3 cp - "s3://$bucket/image/multimodal-search.tar.gz"
fi
echo "bucket  s3://$bucket"
echo "data    aws s3 sync my_data s3://$bucket/data"
echo "run     $here/run.sh $stack train --data-dir /data --output-dir /output"
