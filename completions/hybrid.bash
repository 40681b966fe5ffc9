# bash completion for hybrid
# Made of the command tree by: python -m hybrid_cli.manual

# What the value of option $2 of command $1 is; false for a switch.
_hybrid_value() {
  case "$1 $2" in
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
    'pipe --profile'|'pipe -p') kind=profile ;;
    'pipe --model'|'pipe -m') kind=model ;;
    'pipe --escalation') kind=words words='forbid auto force ask' ;;
    'pipe --max-tokens') kind=text ;;
    'pipe --jobs') kind=text ;;
    'pull --name') kind=text ;;
    'models import --name') kind=text ;;
    'profile explain --profile'|'profile explain -p') kind=profile ;;
    'usage --by') kind=words words='day model origin profile reason outcome' ;;
    'usage --since') kind=text ;;
    'usage --profile'|'usage -p') kind=profile ;;
    'eval --profile'|'eval -p') kind=profile ;;
    'eval --model'|'eval -m') kind=model ;;
    'eval --cloud') kind=words words='recorded live none' ;;
    'eval --split') kind=words words='all fit test' ;;
    'eval --limit') kind=text ;;
    'eval --max-tokens') kind=text ;;
    'eval --rows') kind=file ;;
    'eval --unseen') kind=words words='questions subjects' ;;
    'eval --plot') kind=file ;;
    'calibrate --target') kind=text ;;
    'calibrate --delta') kind=text ;;
    'calibrate --profile'|'calibrate -p') kind=profile ;;
    'calibrate --model'|'calibrate -m') kind=model ;;
    'calibrate --cloud') kind=words words='recorded live none' ;;
    'calibrate --split') kind=words words='all fit test' ;;
    'calibrate --limit') kind=text ;;
    'calibrate --max-tokens') kind=text ;;
    'calibrate --rows') kind=file ;;
    'doctor --profile'|'doctor -p') kind=profile ;;
    *) return 1 ;;
  esac
}

_hybrid_options() {
  case $1 in
    '') words='--version --help -h' ;;
    'run') words='--profile -p --model -m --system -s --escalation --tag --tool --max-tokens --temperature --seed --timeout --schema --verify --stop --json --output -o --stream --raw --show-thinking --no-stdin --dry-run --quiet -q --verbose -v --help -h' ;;
    'pipe') words='--profile -p --model -m --escalation --max-tokens --jobs --quiet -q --verbose -v --help -h' ;;
    'pull') words='--name --best --list --json --quiet -q --help -h' ;;
    'models') words='--help -h' ;;
    'models ls') words='--all --json --help -h' ;;
    'models show') words='--json --help -h' ;;
    'models verify') words='--accept --help -h' ;;
    'models import') words='--name --link --quiet -q --help -h' ;;
    'models rm') words='--force -f --help -h' ;;
    'models prune') words='--quiet -q --help -h' ;;
    'profile') words='--help -h' ;;
    'profile ls') words='--help -h' ;;
    'profile show') words='--help -h' ;;
    'profile check') words='--help -h' ;;
    'profile explain') words='--profile -p --json --help -h' ;;
    'profile schema') words='--help -h' ;;
    'profile trust') words='--help -h' ;;
    'consent') words='--help -h' ;;
    'consent ls') words='--help -h' ;;
    'consent grant') words='--help -h' ;;
    'consent revoke') words='--help -h' ;;
    'usage') words='--by --since --profile -p --json --csv --export --help -h' ;;
    'usage purge') words='--yes -y --help -h' ;;
    'eval') words='--profile -p --model -m --cloud --split --limit --max-tokens --rows --unseen --plot --run-commands --yes -y --dry-run --json --quiet -q --help -h' ;;
    'calibrate') words='--target --from-ledger --delta --profile -p --model -m --cloud --split --limit --max-tokens --rows --run-commands --yes -y --dry-run --json --quiet -q --help -h' ;;
    'doctor') words='--profile -p --online --json --help -h' ;;
    'completion') words='--help -h' ;;
    'help') words='--help -h' ;;
  esac
}

_hybrid_arguments() {
  case $1 in
    '') kind=words words='run pipe pull models profile consent usage eval calibrate doctor completion help' ;;
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
    'help') kind=words words='exit-codes profiles environment privacy' ;;
    *) kind=text ;;
  esac
}

# The names of the files $1/*$2 into `words`.
_hybrid_list() {
  local file
  for file in "$1"/*"$2"; do
    [[ -e $file ]] || continue
    file=${file##*/}
    words+=" ${file%"$2"}"
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
    [[ $offered == "$word"* && " ${COMPREPLY[*]-} " != *" $offered "* ]] && COMPREPLY+=("$offered")
  done
  if [[ ! ${COMPREPLY[*]-} && $kind != text && $kind != words ]]; then
    compopt -o default  # readline's own file names
  fi
}

complete -F _hybrid hybrid
