#!/usr/bin/env bash
# Time of one Tab in bash: the completion function for each line, 1000 times.
#
#     bash tests/benchmarks/tab.sh
set -euo pipefail
shopt -s extglob
source "$(dirname "$0")/../../completions/hybrid.bash"
compopt() { :; } # means something only while readline completes

tab() {
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  local begun=${EPOCHREALTIME/[.,]/} i
  for ((i = 0; i < 1000; i++)); do _hybrid; done
  local micros=$(((${EPOCHREALTIME/[.,]/} - begun) / 1000))
  printf '%6d us  %-32s -> %s\n' "$micros" "$*" "${COMPREPLY[*]:0:4}"
}

read -r load _ </proc/loadavg
echo "load $load"
tab hybrid ''
tab hybrid run --
tab hybrid run --escalation f
tab hybrid run -p ''
tab hybrid run -m ''
tab hybrid pull ''
tab hybrid models rm ''
