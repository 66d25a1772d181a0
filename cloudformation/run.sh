#!/usr/bin/env bash
# Runs one command of multimodal-search on the stack's instance, follows its log, and fetches nothing:
#   cloudformation/run.sh STACK train --data-dir /data --output-dir /output
# RUN names the run [the time]; the name of an earlier one goes on with its output. The instance stops afterwards.
set -euo pipefail
stack=${1:?the name of the stack, then the command}
shift
[ $# -gt 0 ] || { echo "no command: for example train --data-dir /data --output-dir /output" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
bucket=$("$here/output.sh" "$stack" BucketName)
instance=$("$here/output.sh" "$stack" InstanceId)
run=${RUN:-$(date -u +%Y%m%d-%H%M%S)}
wait_seconds=${WAIT_SECONDS:-30}
if aws s3 ls "s3://$bucket/job/command" > /dev/null; then
  echo "another command is waiting or at work: s3://$bucket/job/command" >&2
  exit 2
fi
# the instance stops itself after each command; a first start without one takes a minute
aws ec2 wait instance-stopped --instance-ids "$instance"
aws s3 rm --only-show-errors "s3://$bucket/runs/$run/exit-code"
echo "$run" | aws s3 cp --only-show-errors - "s3://$bucket/job/run"
printf '%q ' "$@" | aws s3 cp --only-show-errors - "s3://$bucket/job/command"
aws ec2 start-instances --instance-ids "$instance" > /dev/null
echo "run     $run on $instance; its log and output: s3://$bucket/runs/$run"
until code=$(aws s3 cp "s3://$bucket/runs/$run/exit-code" - 2> /dev/null); do sleep "$wait_seconds"; done
aws s3 cp "s3://$bucket/runs/$run/log.txt" - | tail -n 40
echo "output  aws s3 sync s3://$bucket/runs/$run/output output"
exit "$code"
