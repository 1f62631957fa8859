# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by setup.sh, which sets $lock and has die:
# find_python sets $python and $python_version to a Python that can be embedded.

python='' python_version=''
python_refused=() # "PATH: reason", one for each candidate that will not do

# One candidate path a line, best first.
python_candidates() {
  local name
  # A .venv that works keeps its Python: a new interpreter on the machine is no reason to reinstall.
  [ ! -x .venv/bin/python ] || echo .venv/bin/python
  for name in python3.12 python3.13 python3.11 python3.10 python3; do
    type -aP "$name" || true
  done
  compgen -G '/usr/bin/python3.1[0-3]' || true
  compgen -G '/usr/local/bin/python3.1[0-3]' || true
  compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.1[0-3].*/bin/python" || true
  compgen -G '.python/cpython-3.1[0-3]*/bin/python3' || true
}

# probe_python PATH: sets $python, or notes why not and fails.
probe_python() {
  local out need=venv
  if [ -n "$(find_uv)" ]; then need=; fi # uv makes virtual environments by itself
  # A pyenv shim of a version that is not active exists but only prints advice.
  if out=$("$1" build/setup/probe.py $need 2>/dev/null); then
    python=$(sed -n 's/^executable=//p' <<<"$out")
    python_version=$(sed -n 's/^version=//p' <<<"$out")
    return 0
  fi
  python_refused+=("$1: ${out:-does not run}")
  return 1
}

# The uv to use, empty if there is none: the locked one once it is installed.
find_uv() {
  if [ -x .venv/bin/uv ]; then echo .venv/bin/uv; else type -P uv || true; fi
}

# bootstrap_uv PYTHON: the locked uv from pip, hash checked, for a machine without one.
bootstrap_uv() {
  # uv's own environments come without pip.
  "$1" -m pip --version >/dev/null 2>&1 || "$1" -m ensurepip --upgrade >/dev/null || return 1
  "$1" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    -r <(awk '/^[^ ]/ { keep = /^uv==/ } keep' "$lock")
}

# Brings a Python into the checkout, where a network reaches its downloads.
# Any Python with pip, also one without headers, can fetch the uv that does it.
install_python() {
  local uv
  echo 'no usable Python on this machine; trying uv python install 3.12 (into .python/, at most 3 minutes)' >&2
  uv=$(find_uv)
  if [ -z "$uv" ]; then
    uv=.python/uv/bin/uv
    if ! { python3 -m venv .python/uv && bootstrap_uv .python/uv/bin/python; } >/dev/null 2>&1; then
      echo 'no uv, and none to be had with pip' >&2
      return 1
    fi
  fi
  UV_PYTHON_INSTALL_DIR=$PWD/.python UV_PYTHON_INSTALL_BIN=0 UV_HTTP_RETRIES=1 \
    timeout 180 "$uv" python install 3.12
}

find_python() {
  local candidate file seen=' '
  python='' python_version='' python_refused=()
  if [ -n "${STEPBENCH_PYTHON_BASE:-}" ]; then
    # Asked for by name: no silent second choice.
    probe_python "$STEPBENCH_PYTHON_BASE" ||
      die "STEPBENCH_PYTHON_BASE=${python_refused[0]}"
    return 0
  fi
  while read -r candidate; do
    file=$(realpath "$candidate")
    case $seen in *" $file "*) continue ;; esac
    seen+="$file "
    ! probe_python "$candidate" || return 0
  done < <(python_candidates)
  if install_python; then
    for candidate in .python/cpython-3.12*/bin/python3.12; do
      ! probe_python "$candidate" || return 0
    done
  fi
  {
    echo 'no Python here can be embedded: stepbench needs CPython 3.10 to 3.13 with its shared library and headers.'
    [ ${#python_refused[@]} -eq 0 ] || printf '  %s\n' "${python_refused[@]}"
    echo 'remedy, one of:'
    echo '  Debian, Ubuntu:  apt-get install python3-dev python3-venv'
    echo '  Fedora, RHEL:    dnf install python3-devel        (RHEL 9: python3.12-devel)'
    echo '  any other:       STEPBENCH_PYTHON_BASE=/path/to/python make setup   (built with --enable-shared)'
  } >&2
  exit 69
}
