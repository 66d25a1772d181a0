#!/usr/bin/env bash
# Prints the interpreter of a Python version, from the path, pyenv or uv: tests/find_python.sh 3.13
# A path is taken as it is. Where there is none it says so and exits with 3.
set -euo pipefail
wanted=${1:?which Python? For example 3.13}
if [[ $wanted == */* ]]; then
  places=("$wanted")
else
  places=("python$wanted" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$wanted"{,.*}/bin/python
    "${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}"/cpython-"$wanted"{.,-}*/bin/python3)
fi
for place in "${places[@]}"; do
  # pyenv's shims stand on the path for versions that are off, too: only one that runs counts
  if found=$("$place" -c 'import sys; print(sys.executable)' 2> /dev/null); then
    echo "$found"
    exit 0
  fi
done
echo "Python $wanted is not here (looked at: ${places[*]})." \
  "Install it (pyenv install, or uv python install), or give its path instead of the number." >&2
exit 3
