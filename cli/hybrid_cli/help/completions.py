"""Completion scripts for bash, zsh and fish. They hold the whole tree and start no other program."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_cli.help.command_tree import Command, Parameter, known_names

_MADE = "# Made of the command tree by: python docs/generator\n"


def bash(root: Command) -> str:
    """A function for `complete -F`, of builtins only."""
    names = known_names()
    values, options, arguments = [], [], []
    for command in root.walk():
        path = " ".join(command.path)
        for option in command.options:
            if option.kind is not None:
                patterns = "|".join(_quoted(f"{path} {name}") for name in option.names)
                values.append(f"    {patterns}) {_bash_kind(option)} ;;")
        offered = " ".join(name for option in command.options for name in option.names)
        options.append(f"    {_quoted(path)}) words={_quoted(offered)} ;;")
        below = " ".join(one.path[-1] for one in command.commands)
        if below:
            arguments.append(f"    {_quoted(path)}) kind=words words={_quoted(below)} ;;")
        elif command.arguments and command.arguments[-1].kind != "text":
            arguments.append(f"    {_quoted(path)}) {_bash_kind(command.arguments[-1])} ;;")
    paths = "|".join(_quoted(" ".join(one.path)) for one in root.walk()[1:])
    return _BASH.format(
        made=_MADE,
        values="\n".join(values),
        options="\n".join(options),
        arguments="\n".join(arguments),
        paths=paths,
        profiles=" ".join(names["profile"]),
        catalog=" ".join(names["catalog"]),
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _bash_kind(parameter: Parameter) -> str:
    words = f" words={_quoted(' '.join(parameter.words))}" if parameter.words else ""
    return f"kind={parameter.kind}{words}"


_BASH = """\
# bash completion for hybrid
{made}
# What the value of option $2 of command $1 is; false for a switch.
_hybrid_value() {{
  case "$1 $2" in
{values}
    *) return 1 ;;
  esac
}}

_hybrid_options() {{
  case $1 in
{options}
  esac
}}

_hybrid_arguments() {{
  case $1 in
{arguments}
    *) kind=text ;;
  esac
}}

# The names of the files $1/*$2 into `words`, but for those that are there.
_hybrid_list() {{
  local file known=" $words "
  for file in "$1"/*"$2"; do
    file=${{file##*/}} file=${{file%"$2"}}
    [[ $file == '*' || $known == *" $file "* ]] || words+=" $file"
  done
}}

_hybrid() {{
  local config=${{XDG_CONFIG_HOME:-$HOME/.config}}/hybrid data=${{XDG_DATA_HOME:-$HOME/.local/share}}/hybrid
  if [[ ${{HYBRID_HOME-}} ]]; then
    config=$HYBRID_HOME/config data=$HYBRID_HOME/data
  fi
  local kind='' words='' path='' i word=${{COMP_WORDS[COMP_CWORD]}} last=$((COMP_CWORD - 1))
  [[ $word == = ]] && word='' last=$COMP_CWORD
  local option=${{COMP_WORDS[last]}}
  [[ $option == = ]] && option=${{COMP_WORDS[last - 1]}}
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${{COMP_WORDS[i]}} == -* ]]; then
      _hybrid_value "$path" "${{COMP_WORDS[i]}}" && i=$((i + 1))
      kind='' words=''
      continue
    fi
    case "${{path:+$path }}${{COMP_WORDS[i]}}" in
      {paths}) path=${{path:+$path }}${{COMP_WORDS[i]}} ;;
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
    profile) words='{profiles}'; _hybrid_list "$config/profiles" .yaml ;;
    model) _hybrid_list "$data/models" .json ;;
    catalog) words='{catalog}'; _hybrid_list "$data/models" .json ;;
  esac
  local offered
  for offered in $words; do
    [[ $offered == "$word"* ]] && COMPREPLY+=("$offered")
  done
  if [[ ! ${{COMPREPLY[*]-}} && $kind != text && $kind != words ]]; then
    compopt -o default  # readline's own file names
  fi
}}

complete -F _hybrid hybrid
"""


def zsh(root: Command) -> str:
    """A function for zsh's completion system, with descriptions."""
    names = known_names()
    functions = "\n".join(_zsh_function(command) for command in root.walk())
    return _ZSH.format(
        made=_MADE,
        functions=functions,
        profiles=" ".join(names["profile"]),
        catalog=" ".join(names["catalog"]),
    )


_ZSH = """\
#compdef hybrid
{made}
__hybrid_profiles() {{
  local config=${{XDG_CONFIG_HOME:-$HOME/.config}}/hybrid
  [[ -n $HYBRID_HOME ]] && config=$HYBRID_HOME/config
  local -aU names=({profiles} $config/profiles/*.yaml(N:t:r))
  _alternative 'profiles:profile:('"${{(j: :)names}}"')' 'files:file:_files'
}}

__hybrid_models() {{
  local data=${{XDG_DATA_HOME:-$HOME/.local/share}}/hybrid
  [[ -n $HYBRID_HOME ]] && data=$HYBRID_HOME/data
  local -aU names=($catalog $data/models/*.json(N:t:r))
  _alternative 'models:model:('"${{(j: :)names}}"')' 'files:file:_files -g "*.gguf(-.)"'
}}

__hybrid_catalog() {{
  local -a catalog=({catalog})
  __hybrid_models
}}

{functions}
if [[ $funcstack[1] == _hybrid ]]; then
  _hybrid "$@"
else
  compdef _hybrid hybrid
fi
"""
_ZSH_ACTIONS = {
    "profile": "__hybrid_profiles",
    "model": "__hybrid_models",
    "catalog": "__hybrid_catalog",
    "file": "_files",
    "text": "",
}


def _zsh_function(command: Command) -> str:
    name = "_".join(["_hybrid", *command.path])
    lines = [_zsh_option(option) for option in command.options]
    if not command.commands:
        if command.arguments:
            argument = command.arguments[-1]
            lines.append(_quoted(f"*:{_zsh_text(argument.metavar)}:{_zsh_action(argument)}"))
        body = " \\\n    ".join(["_arguments -s -S", *lines])
        return f"{name}() {{\n  {body}\n}}\n"
    lines += ["'1: :->command'", "'*:: :->rest'"]
    body = " \\\n    ".join(["_arguments -s -S -C -A '-*'", *lines])
    offered = "\n        ".join(
        _quoted(f"{one.path[-1]}:{one.summary.rstrip('.')}") for one in command.commands
    )
    calls = "\n        ".join(f"{one.path[-1]}) {name}_{one.path[-1]} ;;" for one in command.commands)
    return f"""{name}() {{
  local context state state_descr line
  local -A opt_args
  {body} && return
  case $state in
    command)
      local -a commands=(
        {offered}
      )
      _describe command commands
      ;;
    rest)
      case $words[1] in
        {calls}
      esac
      ;;
  esac
}}
"""


def _zsh_text(text: str) -> str:
    """`text` where brackets and colons mean something to `_arguments`."""
    for character in "\\[]:":
        text = text.replace(character, f"\\{character}")
    return text


def _zsh_action(parameter: Parameter) -> str:
    return f"({' '.join(parameter.words)})" if parameter.words else _ZSH_ACTIONS[parameter.kind or "text"]


def _zsh_option(option: Parameter) -> str:
    value = "" if option.kind is None else f":{_zsh_text(option.metavar)}:{_zsh_action(option)}"
    repeated = "repeated" in option.help
    told = f"[{_zsh_text(option.help.rstrip('.'))}]{value}"
    equals = "=" if value else ""
    if len(option.names) == 1:
        return _quoted(f"{'*' if repeated else ''}{option.long}{equals}{told}")
    long, short = option.names
    spellings = f"{{{short}{'+' if value else ''},{long}{equals}}}"
    return f"{_quoted(f'({short} {long})')}{spellings}{_quoted(told)}"


def fish(root: Command) -> str:
    """Lines of fish's `complete`, with descriptions."""
    names = known_names()
    lines = [line for command in root.walk() for line in _fish_lines(command)]
    of_groups = [option for command in root.walk() if command.commands for option in command.options]
    valued = dict.fromkeys(name for option in of_groups if option.kind is not None for name in option.names)
    return _FISH.format(
        made=_MADE,
        lines="\n".join(lines),
        valued=" ".join(valued),
        profiles=" ".join(names["profile"]),
        catalog=" ".join(names["catalog"]),
    )


_FISH = """\
# fish completion for hybrid
{made}
# The words typed so far, but for the options that may stand before and between commands, and their values.
function __hybrid_words
    set -l is_value false
    for word in (commandline -opc)[2..]
        if $is_value
            set is_value false
        else if contains -- $word {valued}
            set is_value true
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# Whether they name the command in the arguments.
function __hybrid_at
    set -l words (__hybrid_words)
    set -l last (count $argv)
    test $last -eq 0; and return 0
    test (count $words) -ge $last; and test "$words[1..$last]" = "$argv"
end

# Whether no command stands there yet.
function __hybrid_needs
    __hybrid_at $argv; and test (count (__hybrid_words)) -eq (count $argv)
end

function __hybrid_profiles
    set -l config (test -n "$HYBRID_HOME"; and echo $HYBRID_HOME/config; or echo (test -n "$XDG_CONFIG_HOME"; and echo $XDG_CONFIG_HOME; or echo ~/.config)/hybrid)
    printf '%s\\n' {profiles}
    for file in $config/profiles/*.yaml
        string replace -r '.*/(.*)\\.yaml$' '$1' -- $file
    end
end

function __hybrid_models
    set -l data (test -n "$HYBRID_HOME"; and echo $HYBRID_HOME/data; or echo (test -n "$XDG_DATA_HOME"; and echo $XDG_DATA_HOME; or echo ~/.local/share)/hybrid)
    for file in $data/models/*.json
        string replace -r '.*/(.*)\\.json$' '$1' -- $file
    end
end

function __hybrid_catalog
    printf '%s\\n' {catalog}
    __hybrid_models
end

complete -c hybrid -f
{lines}
"""
_FISH_ACTIONS = {
    "profile": "-r -F -a '(__hybrid_profiles)'",
    "model": "-r -F -a '(__hybrid_models)'",
    "catalog": "-r -F -a '(__hybrid_catalog)'",
    "file": "-r -F",
    "text": "-x",
}


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_action(parameter: Parameter) -> str:
    if parameter.words:
        return f"-x -a {_fish_quoted(' '.join(parameter.words))}"
    return _FISH_ACTIONS[parameter.kind or "text"]


def _fish_lines(command: Command) -> list[str]:
    path = " ".join(command.path)
    at = f"__hybrid_at {path}".strip()
    needs = f"__hybrid_needs {path}".strip()
    lines = [
        f"complete -c hybrid -n '{needs}' -a {one.path[-1]} -d {_fish_quoted(one.summary.rstrip('.'))}"
        for one in command.commands
    ]
    here = needs if command.commands and not command.path else at
    for one in command.commands if command.path else ():
        here += f"; and not __hybrid_at {' '.join(one.path)}"
    for option in command.options:
        spelled = " ".join(
            f"-l {name[2:]}" if name[:2] == "--" else f"-s {name[1:]}" for name in option.names
        )
        action = "" if option.kind is None else f" {_fish_action(option)}"
        told = _fish_quoted(option.help.rstrip("."))
        lines.append(f"complete -c hybrid -n '{here}' {spelled}{action} -d {told}")
    if command.arguments and command.arguments[-1].kind != "text":
        lines.append(f"complete -c hybrid -n '{at}' {_fish_action(command.arguments[-1])}")
    return lines


SCRIPTS: dict[str, Callable[[Command], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
