# bash completion for hybrid
# Made of the command tree by: python docs/generator

# What the value of option $2 of command $1 is; false for a switch.
_hybrid_value() {
  case "$1 $2" in
    ' --color') kind=words words='auto always never' ;;
    'run --profile'|'run -p') kind=profile ;;
    'run --model'|'run -m') kind=model ;;
    'run --system'|'run -s') kind=text ;;
    'run --escalation') kind=words words='forbid auto force ask' ;;
    'run --tag') kind=text ;;
    'run --tool') kind=words words='web_search image_generation' ;;
    'run --max-tokens') kind=text ;;
    'run --temperature') kind=text ;;
    'run --seed') kind=text ;;
    'run --timeout') kind=text ;;
    'run --schema') kind=file ;;
    'run --verify') kind=text ;;
    'run --stop') kind=text ;;
    'run --output'|'run -o') kind=file ;;
    'run --color') kind=words words='auto always never' ;;
    'pipe --each') kind=words words='line jsonl csv nul para' ;;
    'pipe --field') kind=text ;;
    'pipe --template') kind=text ;;
    'pipe --key') kind=text ;;
    'pipe --resume') kind=file ;;
    'pipe --choices') kind=text ;;
    'pipe --schema') kind=file ;;
    'pipe --verify') kind=text ;;
    'pipe --profile'|'pipe -p') kind=profile ;;
    'pipe --model'|'pipe -m') kind=model ;;
    'pipe --system'|'pipe -s') kind=text ;;
    'pipe --escalation') kind=words words='forbid auto force ask' ;;
    'pipe --tag') kind=text ;;
    'pipe --max-tokens') kind=text ;;
    'pipe --timeout') kind=text ;;
    'pipe --jobs') kind=text ;;
    'pipe --cloud-jobs') kind=text ;;
    'pipe --cluster') kind=text ;;
    'pipe --color') kind=words words='auto always never' ;;
    'pull --name') kind=text ;;
    'pull --color') kind=words words='auto always never' ;;
    'models --color') kind=words words='auto always never' ;;
    'models ls --color') kind=words words='auto always never' ;;
    'models show --color') kind=words words='auto always never' ;;
    'models verify --color') kind=words words='auto always never' ;;
    'models import --name') kind=text ;;
    'models import --color') kind=words words='auto always never' ;;
    'models rm --color') kind=words words='auto always never' ;;
    'models prune --color') kind=words words='auto always never' ;;
    'profile --color') kind=words words='auto always never' ;;
    'profile ls --color') kind=words words='auto always never' ;;
    'profile show --color') kind=words words='auto always never' ;;
    'profile check --color') kind=words words='auto always never' ;;
    'profile explain --profile'|'profile explain -p') kind=profile ;;
    'profile explain --color') kind=words words='auto always never' ;;
    'profile schema --color') kind=words words='auto always never' ;;
    'profile trust --color') kind=words words='auto always never' ;;
    'consent --color') kind=words words='auto always never' ;;
    'consent ls --color') kind=words words='auto always never' ;;
    'consent grant --color') kind=words words='auto always never' ;;
    'consent revoke --color') kind=words words='auto always never' ;;
    'usage --by') kind=words words='day model origin profile reason outcome' ;;
    'usage --since') kind=text ;;
    'usage --profile'|'usage -p') kind=profile ;;
    'usage --color') kind=words words='auto always never' ;;
    'usage purge --color') kind=words words='auto always never' ;;
    'eval --profile'|'eval -p') kind=profile ;;
    'eval --model'|'eval -m') kind=model ;;
    'eval --cloud') kind=words words='recorded live none' ;;
    'eval --split') kind=words words='all fit test' ;;
    'eval --limit') kind=text ;;
    'eval --max-tokens') kind=text ;;
    'eval --rows') kind=file ;;
    'eval --unseen') kind=words words='questions subjects' ;;
    'eval --plot') kind=file ;;
    'eval --color') kind=words words='auto always never' ;;
    'calibrate --target') kind=text ;;
    'calibrate --delta') kind=text ;;
    'calibrate --profile'|'calibrate -p') kind=profile ;;
    'calibrate --model'|'calibrate -m') kind=model ;;
    'calibrate --cloud') kind=words words='recorded live none' ;;
    'calibrate --split') kind=words words='all fit test' ;;
    'calibrate --limit') kind=text ;;
    'calibrate --max-tokens') kind=text ;;
    'calibrate --rows') kind=file ;;
    'calibrate --color') kind=words words='auto always never' ;;
    'doctor --profile'|'doctor -p') kind=profile ;;
    'doctor --color') kind=words words='auto always never' ;;
    'completion --color') kind=words words='auto always never' ;;
    'help --color') kind=words words='auto always never' ;;
    *) return 1 ;;
  esac
}

_hybrid_options() {
  case $1 in
    '') words='--version --quiet -q --color --help -h' ;;
    'run') words='--profile -p --model -m --system -s --escalation --tag --tool --max-tokens --temperature --seed --timeout --schema --verify --stop --json --output -o --stream --raw --render --show-thinking --no-stdin --dry-run --verbose -v --quiet -q --color --help -h' ;;
    'pipe') words='--each --field --template --jsonl --key --resume --choices --schema --verify --profile -p --model -m --system -s --escalation --tag --max-tokens --timeout --jobs --cloud-jobs --cluster --unordered --fail-fast --dry-run --verbose -v --quiet -q --color --help -h' ;;
    'pull') words='--name --best --list --json --quiet -q --color --help -h' ;;
    'models') words='--quiet -q --color --help -h' ;;
    'models ls') words='--all --json --quiet -q --color --help -h' ;;
    'models show') words='--json --quiet -q --color --help -h' ;;
    'models verify') words='--accept --json --quiet -q --color --help -h' ;;
    'models import') words='--name --link --quiet -q --color --help -h' ;;
    'models rm') words='--force -f --quiet -q --color --help -h' ;;
    'models prune') words='--quiet -q --color --help -h' ;;
    'profile') words='--quiet -q --color --help -h' ;;
    'profile ls') words='--quiet -q --color --help -h' ;;
    'profile show') words='--quiet -q --color --help -h' ;;
    'profile check') words='--quiet -q --color --help -h' ;;
    'profile explain') words='--profile -p --json --quiet -q --color --help -h' ;;
    'profile schema') words='--quiet -q --color --help -h' ;;
    'profile trust') words='--quiet -q --color --help -h' ;;
    'consent') words='--quiet -q --color --help -h' ;;
    'consent ls') words='--quiet -q --color --help -h' ;;
    'consent grant') words='--quiet -q --color --help -h' ;;
    'consent revoke') words='--quiet -q --color --help -h' ;;
    'usage') words='--by --since --profile -p --json --csv --export --quiet -q --color --help -h' ;;
    'usage purge') words='--yes -y --quiet -q --color --help -h' ;;
    'eval') words='--profile -p --model -m --cloud --split --limit --max-tokens --rows --unseen --plot --run-commands --yes -y --dry-run --json --quiet -q --color --help -h' ;;
    'calibrate') words='--target --from-ledger --delta --profile -p --model -m --cloud --split --limit --max-tokens --rows --run-commands --yes -y --dry-run --json --quiet -q --color --help -h' ;;
    'doctor') words='--profile -p --online --json --quiet -q --color --help -h' ;;
    'completion') words='--quiet -q --color --help -h' ;;
    'help') words='--quiet -q --color --help -h' ;;
  esac
}

_hybrid_arguments() {
  case $1 in
    '') kind=words words='run pipe pull models profile consent usage eval calibrate doctor completion help' ;;
    'pipe') kind=file ;;
    'pull') kind=catalog ;;
    'models') kind=words words='ls show verify import rm prune' ;;
    'models show') kind=catalog ;;
    'models verify') kind=model ;;
    'models import') kind=file ;;
    'models rm') kind=model ;;
    'profile') kind=words words='ls show check explain schema trust' ;;
    'profile show') kind=profile ;;
    'profile check') kind=file ;;
    'profile trust') kind=file ;;
    'consent') kind=words words='ls grant revoke' ;;
    'usage') kind=words words='purge' ;;
    'eval') kind=file ;;
    'calibrate') kind=file ;;
    'completion') kind=words words='bash zsh fish' ;;
    'help') kind=words words='exit-codes profiles environment privacy run pipe pull models profile consent usage eval calibrate doctor completion help' ;;
    *) kind=text ;;
  esac
}

# The names of the files $1/*$2 into `words`, but for those that are there.
_hybrid_list() {
  local file known=" $words "
  for file in "$1"/*"$2"; do
    file=${file##*/} file=${file%"$2"}
    [[ $file == '*' || $known == *" $file "* ]] || words+=" $file"
  done
}

_hybrid() {
  local config=${XDG_CONFIG_HOME:-$HOME/.config}/hybrid data=${XDG_DATA_HOME:-$HOME/.local/share}/hybrid
  if [[ ${HYBRID_HOME-} ]]; then
    config=$HYBRID_HOME/config data=$HYBRID_HOME/data
  fi
  local kind='' words='' path='' i word=${COMP_WORDS[COMP_CWORD]} last=$((COMP_CWORD - 1))
  [[ $word == = ]] && word='' last=$COMP_CWORD
  local option=${COMP_WORDS[last]}
  [[ $option == = ]] && option=${COMP_WORDS[last - 1]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} == -* ]]; then
      _hybrid_value "$path" "${COMP_WORDS[i]}" && i=$((i + 1))
      kind='' words=''
      continue
    fi
    case "${path:+$path }${COMP_WORDS[i]}" in
      'run'|'pipe'|'pull'|'models'|'models ls'|'models show'|'models verify'|'models import'|'models rm'|'models prune'|'profile'|'profile ls'|'profile show'|'profile check'|'profile explain'|'profile schema'|'profile trust'|'consent'|'consent ls'|'consent grant'|'consent revoke'|'usage'|'usage purge'|'eval'|'calibrate'|'doctor'|'completion'|'help') path=${path:+$path }${COMP_WORDS[i]} ;;
    esac
  done
  COMPREPLY=()
  if [[ $option == -* ]] && _hybrid_value "$path" "$option"; then
    :
  elif [[ $word == -* ]]; then
    kind=words
    _hybrid_options "$path"
  else
    _hybrid_arguments "$path"
  fi
  case $kind in
    profile) words='ci cloud default frugal gpt-oss offline private quality r1 research'; _hybrid_list "$config/profiles" .yaml ;;
    model) _hybrid_list "$data/models" .json ;;
    catalog) words='smollm2-135m qwen3-0.6b gemma-3-1b smollm2-1.7b llama-3.2-1b qwen2.5-coder-1.5b deepseek-r1-1.5b qwen3-1.7b qwen3-4b llama-3.2-3b gemma-3-4b phi-4-mini qwen2.5-coder-7b deepseek-r1-7b qwen3-8b gpt-oss-20b gpt-oss-120b'; _hybrid_list "$data/models" .json ;;
  esac
  local offered
  for offered in $words; do
    [[ $offered == "$word"* ]] && COMPREPLY+=("$offered")
  done
  if [[ ! ${COMPREPLY[*]-} && $kind != text && $kind != words ]]; then
    compopt -o default  # readline's own file names
  fi
}

complete -F _hybrid hybrid
