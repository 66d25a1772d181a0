#!/usr/bin/env bash
# The fast tests on another Python, and on another numpy than constraints.txt pins for it. Needs uv and some GB in the
# temporary folder, where the environment stays for the next time. `make test-python ON=3.13` calls it.
#   tests/on_python.sh 3.13
#   tests/on_python.sh 3.11 2.4.6
#   tests/on_python.sh 3.12 1.26.4 tests/tables -x     what follows goes to pytest
set -euo pipefail
cd "$(dirname "$0")/.."
interpreter=$(tests/find_python.sh "${1:?which Python? For example 3.13}")
numpy=${2:-}
uv=${UV:-.venv/bin/uv}
home=${TMPDIR:-/tmp}/multimodal-search-$(id -u)/on-$("$interpreter" -c 'import platform; print(platform.python_version())')
home+=${numpy:+-numpy-$numpy}
python=$home/bin/python
mkdir -p "$home"
"$uv" venv --quiet --allow-existing --python "$interpreter" "$home"
cp constraints.txt "$home/constraints.txt"
: > "$home/overrides.txt"
if [ -n "$numpy" ]; then
  # overridden, not only constrained: nuscenes-devkit asks for numpy 1, and its parts in use here run with 2
  sed -i '/^numpy==/d' "$home/constraints.txt"
  echo "numpy==$numpy" > "$home/overrides.txt"
fi
install=("$uv" pip install --quiet --python "$python")
"${install[@]}" -c "$home/constraints.txt" --override "$home/overrides.txt" -e '.[dev]'
if ! "$python" -c 'import nuscenes' 2> /dev/null; then
  # 3.13, where the extra leaves it out: the way that docs/installation.md tells
  "${install[@]}" --no-deps nuscenes-devkit==1.2.0
  "${install[@]}" -c "$home/constraints.txt" --override "$home/overrides.txt" \
    pyquaternion descartes fire parameterized cachetools shapely opencv-python-headless pycocotools
fi
"$python" -c 'import platform, numpy, torch; print("Python", platform.python_version(), "numpy", numpy.__version__, "torch", torch.__version__)'
exec "$python" -m pytest -m "not slow" -n "${JOBS:-2}" --dist loadfile "${@:3}"
