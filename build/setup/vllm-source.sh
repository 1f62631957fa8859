#!/usr/bin/env bash
# make vllm-source: unpacks vLLM's source distribution, of the locked version, into out/vllm-source.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$(sed -n 's/^vllm==\([0-9.]*\).*/\1/p' requirements/cuda.txt)
dest=out/vllm-source
if [ "$(sed -n 's/^Version: //p' $dest/PKG-INFO 2>/dev/null)" = "$version" ]; then
  echo "vllm-source: $dest has vLLM $version; nothing to do"
  exit 0
fi

mkdir -p out
tmp=$(mktemp -d out/.vllm-source-XXXXXX)
trap 'rm -rf "$tmp"' EXIT
echo "vllm-source: download and unpack vllm==$version"
# pip asks the source for its metadata, which runs vLLM's setup.py: build tools
# from .venv, and no device, or it would look for nvcc.
VLLM_VERSION_OVERRIDE=$version VLLM_TARGET_DEVICE=empty PATH=$PWD/.venv/bin:$PATH \
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
  --no-build-isolation --dest "$tmp" "vllm==$version"
tar -xzf "$tmp"/vllm-*.tar.gz -C "$tmp"
rm -rf "$dest"
mv "$tmp/vllm-$version" "$dest"
echo "vllm-source: vLLM $version in $dest ($(find $dest/csrc -type f | wc -l) files in csrc)"
