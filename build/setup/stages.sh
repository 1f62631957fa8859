#!/usr/bin/env bash
# Runs stages one after the other, times each, stops at the first that fails,
# and prints where the time went in either case.
#
#   stages.sh TITLE TARGET...      each stage is a make target
#   source stages.sh; stages TITLE; stage NAME COMMAND...
#
# Everything goes to stderr: stdout belongs to results.
set -euo pipefail

stages_title='' stage_name='' stage_start=0 stages_start=0 stages_done=()

# Microseconds; EPOCHREALTIME has the locale's decimal mark.
now_us() { echo "${EPOCHREALTIME/[.,]/}"; }

row() { printf '  %-20s %7d.%d s%s\n' "$1" $(($2 / 1000000)) $(($2 / 100000 % 10)) "${3:-}"; }

stages() {
  stages_title=$1 stages_start=$(now_us)
  trap stages_end EXIT
}

# The command runs in this shell without "||", which would switch set -e off
# inside shell functions: a failure ends the script, and stages_end reports it.
stage() {
  stage_name=$1 stage_start=$(now_us)
  shift
  echo "==> $stages_title: $stage_name" >&2
  "$@"
  stages_done+=("$(row "$stage_name" $(($(now_us) - stage_start)))")
  stage_name=''
}

stages_end() {
  local rc=$? end
  end=$(now_us)
  {
    echo "$stages_title: where the time went"
    [ ${#stages_done[@]} -eq 0 ] || printf '%s\n' "${stages_done[@]}"
    [ -z "$stage_name" ] || row "$stage_name" $((end - stage_start)) "  FAILED (exit $rc)"
    row total $((end - stages_start))
  } >&2
  exit "$rc"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  title=$1
  shift
  stages "$title"
  for target; do
    stage "$target" "${MAKE:-make}" --no-print-directory "$target"
  done
fi
