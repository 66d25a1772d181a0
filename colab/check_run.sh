#!/usr/bin/env bash
# Runs a notebook as Colab would, without Colab: Python 3.13 with the versions that Colab brought (tests/notebooks/
# colab-2026-08.txt), the notebook's own install cell with this repository's last commit in the place of GitHub's, and a
# stand-in for google.colab. Fails if a package that Colab brought was replaced. The executed notebook is left in
# build/colab. Some minutes and 5 GB; needs `make test` (uv, papermill) and the right to make /content; no test runs it.
#   colab/check_run.sh                                         colab/train.ipynb as it is
#   colab/check_run.sh colab/search.ipynb -p scenes 40         what follows goes to papermill
#   PYTHON=/path/to/python colab/check_run.sh                  another interpreter
set -euo pipefail
cd "$(dirname "$0")/.."
notebook=${1:-colab/train.ipynb}
repository=$(sed -n 's/^Documentation = "\(.*\)\/tree.*/\1/p' pyproject.toml)
interpreter=$(tests/find_python.sh "${PYTHON:-3.13}")
if [ -e /content ]; then
  echo "/content is there: this is Colab, or another run; where it is left over, remove it" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"; if [ "$(readlink /content)" = "$work/content" ]; then rm /content; fi' EXIT
python=$work/colab/bin/python
.venv/bin/uv venv --quiet --python "$interpreter" "$work/colab"
.venv/bin/uv pip install --quiet --python "$python" -r tests/notebooks/colab-2026-08.txt
.venv/bin/uv pip freeze --python "$python" > "$work/before.txt"

mkdir -p "$work/content" "$work/stand-in/google/colab" "$work/ipython/profile_default/startup" "$work/jupyter/kernels/colab"
ln -s "$work/content" /content
cat > "$work/stand-in/google/colab/__init__.py" << 'END'
"""A stand-in: what the notebooks use of google.colab, without a browser."""
END
cat > "$work/stand-in/google/colab/files.py" << 'END'
from pathlib import Path

def download(path):
    print("downloaded", path, Path(path).stat().st_size, "bytes")

def upload():
    return {}
END
echo "def mount(place): raise RuntimeError('no Drive here')" > "$work/stand-in/google/colab/drive.py"
# Colab imports it before the first cell
echo "import google.colab" > "$work/ipython/profile_default/startup/colab.py"
cat > "$work/jupyter/kernels/colab/kernel.json" << END
{
  "argv": ["$python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
  "display_name": "Colab's stand-in",
  "language": "python",
  "env": {
    "PATH": "$work/colab/bin:$PATH",
    "PYTHONPATH": "$work/stand-in",
    "IPYTHONDIR": "$work/ipython",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "url.file://$PWD.insteadOf",
    "GIT_CONFIG_VALUE_0": "$repository"
  }
}
END
mkdir -p build/colab
result=build/colab/$(basename "$notebook")
JUPYTER_PATH=$work/jupyter .venv/bin/papermill "$notebook" "$result" -k colab --cwd /content "${@:2}"

.venv/bin/uv pip freeze --python "$python" > "$work/after.txt"
echo "new beside what Colab brought:" \
  "$(grep -v -x -F -f "$work/before.txt" "$work/after.txt" | sed 's/ @ .*//' | paste -s -d ' ')"
if replaced=$(grep -v -x -F -f "$work/after.txt" "$work/before.txt"); then
  echo "what Colab brought was replaced:" "$replaced" >&2
  exit 1
fi
"$python" -c '
import platform, numpy, torch, transformers
print("ran: Python", platform.python_version(), "numpy", numpy.__version__, "torch", torch.__version__,
      "transformers", transformers.__version__)'
echo "$result"
