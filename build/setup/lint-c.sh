#!/usr/bin/env bash
# lint-c.sh PYTHON: gcc's static analyser and cppcheck over the shim; what they say is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')

for file in csrc/src/*.c; do
  gcc -fanalyzer -std=c11 -O2 -Wall -Wextra -Wshadow -Werror -D_FORTIFY_SOURCE=2 \
    -DSB_PY_VERSION='""' -DSB_PY_BASE_PREFIX='""' \
    -I csrc/include -isystem "$include" -c -o /dev/null "$file"
done
echo "lint-c: gcc -fanalyzer passed"
"$(dirname "$1")/cppcheck" --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
  -I csrc/include csrc/src
echo "lint-c: cppcheck passed"
