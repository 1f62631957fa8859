#!/usr/bin/env bash
# make fuzz: every fuzz target of the Go packages, one after the other, each on one CPU, and a
# Markdown table of them at the end. Logs are in out/fuzz; inputs that fail are kept as seeds
# below testdata/fuzz of their package.
#
# FUZZTIME=10m   for each target, as go test -fuzztime takes it
# FUZZ=REGEXP    only targets whose ./PACKAGE.NAME matches
# Exit: 1 if a target failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${FUZZTIME:=10m}" "${FUZZ:=.}"
mkdir -p out/fuzz

# ./PACKAGE.NAME, one a line.
targets() {
  grep -rEs --include='*_test.go' --exclude-dir='.?*' --exclude-dir=out '^func Fuzz[A-Za-z0-9_]*\(' . |
    sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*)\(.*|\1.\2|' | sort -u | grep -E "$FUZZ"
}

# row NAME LOG RESULT: what the last progress line says.
row() {
  awk -v name="$1" -v result="$3" '
    /^fuzz: elapsed: .*execs: / {
      sub(/^fuzz: elapsed: /, ""); split($0, part, /, /)
      seconds = 0; time = part[1]
      if (time ~ /h/) { seconds += 3600 * time; sub(/.*h/, "", time) }
      if (time ~ /m/) { seconds += 60 * time; sub(/.*m/, "", time) }
      seconds += time + 0
      split(part[2], execs, " "); split(part[3], new, " ")
    }
    END { printf "| `%s` | %d | %d | %d | %s |\n", name, seconds, execs[2], new[3], result }
  ' "$2"
}

table='' failed=0
for target in $(targets); do
  package=${target%.*} name=${target##*.}
  log=out/fuzz/$(tr / . <<<"${target#./}").log
  echo "fuzz: $target for $FUZZTIME" >&2
  result='no finding'
  # Minimising an input can take longer than finding it.
  if ! go test -ldflags "${GO_LINK:--extldflags=-Wl,-z,lazy}" -run '^$' -fuzz "^$name\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x \
    -parallel 1 "$package" >"$log" 2>&1; then
    result="FAILED, see $log" failed=1
    grep -A12 -m1 -e '--- FAIL' "$log" >&2 || tail -20 "$log" >&2
  fi
  table+=$(row "${target#./}" "$log" "$result")$'\n'
done
[ -n "$table" ] || { echo "fuzz: no target matches $FUZZ" >&2; exit 1; }
printf '| target | s | executions | new inputs | result |\n|---|--:|--:|--:|---|\n%s' "$table"
exit $failed
