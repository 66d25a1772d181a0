#!/usr/bin/env bash
# Builds and runs the image without a Docker daemon, by buildah over a stand-in base made by mmdebstrap; needs root, and
# `apt-get install buildah mmdebstrap`. Some minutes; no test runs it.
#   docker/check_build.sh            the program and its small dependencies, without torch
#   FULL=1 docker/check_build.sh     everything, and a training run; TORCH_INDEX names another index of torch's wheels.
#                                    With CUDA in them 15 GB of disk (STORAGE_DRIVER=overlay, where it mounts; vfs: twice that)
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}
store=(--root "$work/store" --runroot "$work/run")
trap 'buildah "${store[@]}" rm --all > /dev/null 2>&1 || true; rm -rf "$work"' EXIT
base=localhost/stand-in:latest
mmdebstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
  "${SUITE:-bookworm}" "$work/base.tar" ${MIRROR:+"$MIRROR"}
from=$(buildah "${store[@]}" from scratch)
buildah "${store[@]}" add --quiet "$from" "$work/base.tar" /
# as the real base has it: `python` and `pip` on the path, and no distribution's guard against pip
buildah "${store[@]}" run --network host "$from" -- sh -c \
  'ln -s python3 /usr/bin/python && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED'
# a proxy that this machine trusts is trusted in there, too
buildah "${store[@]}" copy --quiet "$from" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
for file in /etc/pip.conf "$HOME/.config/pip/pip.conf"; do
  if [ -f "$file" ]; then buildah "${store[@]}" copy --quiet "$from" "$file" /etc/pip.conf; fi
done
buildah "${store[@]}" commit --quiet "$from" "$base"
arguments=(--build-arg "BASE_IMAGE=$base" --build-arg "TORCH_INDEX=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}")
recipe=docker/Dockerfile
if [ -z "${FULL:-}" ]; then
  # the recipe's every step, with the one that downloads gigabytes cut down
  recipe="$work/Dockerfile"
  sed -e 's|^    && pip install --index-url .*|    \&\& true \\|' \
    -e 's|pip install -c constraints.txt -r requirements.txt|pip install "setuptools>=77" wheel numpy pydantic pyyaml|' \
    docker/Dockerfile > "$recipe"
fi
buildah "${store[@]}" build --network host --pull-never --ignorefile .dockerignore "${arguments[@]}" -f "$recipe" -t page .
box=$(buildah "${store[@]}" from --pull-never page)
run() { buildah "${store[@]}" run --network host --user 10001:10001 "$box" -- "$@"; }
run multimodal-search --version
run multimodal-search train --help > /dev/null
test "$(run id -u)" = 10001
if run touch /usr/local/owned 2> /dev/null; then
  echo "the user may write where it must not" >&2
  exit 1
fi
run touch /output/a /cache/a
if [ -n "${FULL:-}" ]; then
  run multimodal-search train --use-sample-data --sample-scenes 12 --epochs 1 --output-dir /output
  run test -f /output/bundle.json
fi
echo "built and ran"
