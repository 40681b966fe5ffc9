#!/usr/bin/env bash
# Time of one Tab in bash: the completion function for each line, 1000 times, with 50 models and 50 profiles.
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

export HYBRID_HOME
HYBRID_HOME=$(mktemp -d)
trap 'rm -rf "$HYBRID_HOME"' EXIT
mkdir -p "$HYBRID_HOME"/{data/models,config/profiles}
touch "$HYBRID_HOME"/data/models/model-{1..50}.json "$HYBRID_HOME"/config/profiles/mine-{1..50}.yaml

read -r load _ </proc/loadavg
echo "load $load"
tab hybrid ''
tab hybrid run --
tab hybrid run --escalation f
tab hybrid run -p ''
tab hybrid run -m ''
tab hybrid pull ''
tab hybrid models rm ''
