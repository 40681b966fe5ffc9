# fish completion for hybrid
# Made of the command tree by: python docs/generator

# The words typed so far, but for the options that may stand before and between commands, and their values.
function __hybrid_words
    set -l is_value false
    for word in (commandline -opc)[2..]
        if $is_value
            set is_value false
        else if contains -- $word --color --by --since --profile -p
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
    printf '%s\n' ci cloud default frugal gpt-oss offline private quality r1 research
    for file in $config/profiles/*.yaml
        string replace -r '.*/(.*)\.yaml$' '$1' -- $file
    end
end

function __hybrid_models
    set -l data (test -n "$HYBRID_HOME"; and echo $HYBRID_HOME/data; or echo (test -n "$XDG_DATA_HOME"; and echo $XDG_DATA_HOME; or echo ~/.local/share)/hybrid)
    for file in $data/models/*.json
        string replace -r '.*/(.*)\.json$' '$1' -- $file
    end
end

function __hybrid_catalog
    printf '%s\n' smollm2-135m qwen3-0.6b gemma-3-1b smollm2-1.7b llama-3.2-1b qwen2.5-coder-1.5b deepseek-r1-1.5b qwen3-1.7b qwen3-4b llama-3.2-3b gemma-3-4b phi-4-mini qwen2.5-coder-7b deepseek-r1-7b qwen3-8b gpt-oss-20b gpt-oss-120b
    __hybrid_models
end

complete -c hybrid -f
complete -c hybrid -n '__hybrid_needs' -a run -d 'Answer one prompt'
complete -c hybrid -n '__hybrid_needs' -a pipe -d 'Answer one prompt for each of many records'
complete -c hybrid -n '__hybrid_needs' -a pull -d 'Download and verify weights'
complete -c hybrid -n '__hybrid_needs' -a models -d 'List, look at, verify, remove and import weights'
complete -c hybrid -n '__hybrid_needs' -a profile -d 'Look at profiles, check them, and trust a project\'s'
complete -c hybrid -n '__hybrid_needs' -a consent -d 'Say which clouds may be sent to'
complete -c hybrid -n '__hybrid_needs' -a usage -d 'Show what was handed off, why, and what it cost'
complete -c hybrid -n '__hybrid_needs' -a eval -d 'Measure the gate on labelled questions'
complete -c hybrid -n '__hybrid_needs' -a calibrate -d 'Fit the gate to a model on labelled questions'
complete -c hybrid -n '__hybrid_needs' -a doctor -d 'Say what works on this machine, and what to do about the rest'
complete -c hybrid -n '__hybrid_needs' -a completion -d 'Print the completion script of a shell'
complete -c hybrid -n '__hybrid_needs' -a help -d 'Explain exit codes, profiles, variables, privacy or a command'
complete -c hybrid -n '__hybrid_needs' -l version -d 'Print the version and stop'
complete -c hybrid -n '__hybrid_needs' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_needs' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_needs' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at run' -l profile -s p -r -F -a '(__hybrid_profiles)' -d 'The profile to run under'
complete -c hybrid -n '__hybrid_at run' -l model -s m -r -F -a '(__hybrid_models)' -d 'The local model'
complete -c hybrid -n '__hybrid_at run' -l system -s s -x -d 'The system message'
complete -c hybrid -n '__hybrid_at run' -l escalation -x -a 'forbid auto force ask' -d 'Forbid, allow or force the handoff to the cloud'
complete -c hybrid -n '__hybrid_at run' -l tag -x -d 'A word that rules can ask for; may be repeated'
complete -c hybrid -n '__hybrid_at run' -l tool -x -a 'web_search image_generation' -d 'A hosted tool that the prompt needs; may be repeated. Only PROMPT goes out'
complete -c hybrid -n '__hybrid_at run' -l max-tokens -x -d 'The most tokens of an answer, thinking included'
complete -c hybrid -n '__hybrid_at run' -l temperature -x -d '0 is greedy and repeatable'
complete -c hybrid -n '__hybrid_at run' -l seed -x -d 'The seed of local sampling'
complete -c hybrid -n '__hybrid_at run' -l timeout -x -d 'Give up after so long (code 124)'
complete -c hybrid -n '__hybrid_at run' -l schema -r -F -d 'A JSON Schema that the answer must fit'
complete -c hybrid -n '__hybrid_at run' -l verify -x -d 'A command that must end with 0 for the answer on its stdin and in {file}; no shell reads it'
complete -c hybrid -n '__hybrid_at run' -l stop -x -d 'End the answer before TEXT; may be repeated'
complete -c hybrid -n '__hybrid_at run' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at run' -l output -s o -r -F -d 'Write to FILE, in one step'
complete -c hybrid -n '__hybrid_at run' -l stream -d 'Stream into a pipe or a file, too'
complete -c hybrid -n '__hybrid_at run' -l raw -d 'Keep control sequences, except on a terminal, and bidi controls, even there'
complete -c hybrid -n '__hybrid_at run' -l render -d 'Show Markdown as what it means, on a terminal'
complete -c hybrid -n '__hybrid_at run' -l show-thinking -d 'Show the model\'s thinking on stderr'
complete -c hybrid -n '__hybrid_at run' -l no-stdin -d 'Never read stdin'
complete -c hybrid -n '__hybrid_at run' -l dry-run -d 'Say what would be done, and stop'
complete -c hybrid -n '__hybrid_at run' -l verbose -s v -d 'Say how it was decided'
complete -c hybrid -n '__hybrid_at run' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at run' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at run' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at pipe' -l each -x -a 'line jsonl csv nul para' -d 'What is a record; a line by default, of JSON with --jsonl, --resume, --field or --template'
complete -c hybrid -n '__hybrid_at pipe' -l field -x -d 'The field that the model sees; dots lead into objects'
complete -c hybrid -n '__hybrid_at pipe' -l template -x -d 'What the model sees, fields in braces: \'Title: {title}\''
complete -c hybrid -n '__hybrid_at pipe' -l jsonl -d 'Print the record\'s fields and the answer object'
complete -c hybrid -n '__hybrid_at pipe' -l key -x -d 'The answer object\'s field in --jsonl'
complete -c hybrid -n '__hybrid_at pipe' -l resume -r -F -d 'Add to FILE, as --jsonl, what is not answered in it yet'
complete -c hybrid -n '__hybrid_at pipe' -l choices -x -d 'The answer is one of these'
complete -c hybrid -n '__hybrid_at pipe' -l schema -r -F -d 'A JSON Schema that the answer must fit'
complete -c hybrid -n '__hybrid_at pipe' -l verify -x -d 'A command that must end with 0 for the answer on its stdin and in {file}; no shell reads it'
complete -c hybrid -n '__hybrid_at pipe' -l profile -s p -r -F -a '(__hybrid_profiles)' -d 'The profile to run under'
complete -c hybrid -n '__hybrid_at pipe' -l model -s m -r -F -a '(__hybrid_models)' -d 'The local model'
complete -c hybrid -n '__hybrid_at pipe' -l system -s s -x -d 'The system message'
complete -c hybrid -n '__hybrid_at pipe' -l escalation -x -a 'forbid auto force ask' -d 'Forbid, allow or force the handoff to the cloud'
complete -c hybrid -n '__hybrid_at pipe' -l tag -x -d 'A word that rules can ask for; may be repeated'
complete -c hybrid -n '__hybrid_at pipe' -l max-tokens -x -d 'The most tokens of an answer, thinking included'
complete -c hybrid -n '__hybrid_at pipe' -l timeout -x -d 'Give up after so long (code 124)'
complete -c hybrid -n '__hybrid_at pipe' -l jobs -x -d 'Records decoded together; by default what pays'
complete -c hybrid -n '__hybrid_at pipe' -l cloud-jobs -x -d 'Handoffs side by side'
complete -c hybrid -n '__hybrid_at pipe' -l cluster -x -d 'Answer on the nodes of a Ray cluster, by files; auto: the one here, or a new one'
complete -c hybrid -n '__hybrid_at pipe' -l unordered -d 'Print answers as they come'
complete -c hybrid -n '__hybrid_at pipe' -l fail-fast -d 'Stop at the first failure'
complete -c hybrid -n '__hybrid_at pipe' -l dry-run -d 'Say what it may take and cost, and stop'
complete -c hybrid -n '__hybrid_at pipe' -l verbose -s v -d 'Say how it was decided'
complete -c hybrid -n '__hybrid_at pipe' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at pipe' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at pipe' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at pipe' -r -F
complete -c hybrid -n '__hybrid_at pull' -l name -x -d 'Store it under this name'
complete -c hybrid -n '__hybrid_at pull' -l best -d 'The best of the catalog that memory and disk hold'
complete -c hybrid -n '__hybrid_at pull' -l list -d 'Print the model files of hf:ORG/REPO, and stop'
complete -c hybrid -n '__hybrid_at pull' -l json -d 'Print an object for each event, the last one `done`'
complete -c hybrid -n '__hybrid_at pull' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at pull' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at pull' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at pull' -r -F -a '(__hybrid_catalog)'
complete -c hybrid -n '__hybrid_needs models' -a ls -d 'List the stored models'
complete -c hybrid -n '__hybrid_needs models' -a show -d 'Show all that is known of a model'
complete -c hybrid -n '__hybrid_needs models' -a verify -d 'Read every byte again and compare the checksums: code 6 where one differs'
complete -c hybrid -n '__hybrid_needs models' -a import -d 'Take a model file of this machine into the store'
complete -c hybrid -n '__hybrid_needs models' -a rm -d 'Remove stored models. One that a profile needs is kept, but for --force'
complete -c hybrid -n '__hybrid_needs models' -a prune -d 'Delete files that no model needs, and downloads that were left unfinished'
complete -c hybrid -n '__hybrid_at models; and not __hybrid_at models ls; and not __hybrid_at models show; and not __hybrid_at models verify; and not __hybrid_at models import; and not __hybrid_at models rm; and not __hybrid_at models prune' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at models; and not __hybrid_at models ls; and not __hybrid_at models show; and not __hybrid_at models verify; and not __hybrid_at models import; and not __hybrid_at models rm; and not __hybrid_at models prune' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at models; and not __hybrid_at models ls; and not __hybrid_at models show; and not __hybrid_at models verify; and not __hybrid_at models import; and not __hybrid_at models rm; and not __hybrid_at models prune' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at models ls' -l all -d 'The catalog\'s too that are not here'
complete -c hybrid -n '__hybrid_at models ls' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at models ls' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at models ls' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at models ls' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at models show' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at models show' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at models show' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at models show' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at models show' -r -F -a '(__hybrid_catalog)'
complete -c hybrid -n '__hybrid_at models verify' -l accept -d 'Take a PATH\'s file as it is now for the one that is meant'
complete -c hybrid -n '__hybrid_at models verify' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at models verify' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at models verify' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at models verify' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at models verify' -r -F -a '(__hybrid_models)'
complete -c hybrid -n '__hybrid_at models import' -l name -x -d 'Store it under this name'
complete -c hybrid -n '__hybrid_at models import' -l link -d 'Link to the file instead of copying it'
complete -c hybrid -n '__hybrid_at models import' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at models import' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at models import' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at models import' -r -F
complete -c hybrid -n '__hybrid_at models rm' -l force -s f -d 'Also what a profile needs'
complete -c hybrid -n '__hybrid_at models rm' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at models rm' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at models rm' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at models rm' -r -F -a '(__hybrid_models)'
complete -c hybrid -n '__hybrid_at models prune' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at models prune' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at models prune' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_needs profile' -a ls -d 'List the profiles by name, your own first'
complete -c hybrid -n '__hybrid_needs profile' -a show -d 'Print a profile\'s file'
complete -c hybrid -n '__hybrid_needs profile' -a check -d 'Check profiles: every mistake as FILE:LINE: message, and code 2 if there is any'
complete -c hybrid -n '__hybrid_needs profile' -a explain -d 'Print every effective value, the layer that set it, and what was refused'
complete -c hybrid -n '__hybrid_needs profile' -a schema -d 'Print the JSON Schema of a profile, for editors and other validators'
complete -c hybrid -n '__hybrid_needs profile' -a trust -d 'Let a project\'s file set more than limits, as long as its content stays exactly as it is'
complete -c hybrid -n '__hybrid_at profile; and not __hybrid_at profile ls; and not __hybrid_at profile show; and not __hybrid_at profile check; and not __hybrid_at profile explain; and not __hybrid_at profile schema; and not __hybrid_at profile trust' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at profile; and not __hybrid_at profile ls; and not __hybrid_at profile show; and not __hybrid_at profile check; and not __hybrid_at profile explain; and not __hybrid_at profile schema; and not __hybrid_at profile trust' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at profile; and not __hybrid_at profile ls; and not __hybrid_at profile show; and not __hybrid_at profile check; and not __hybrid_at profile explain; and not __hybrid_at profile schema; and not __hybrid_at profile trust' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at profile ls' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at profile ls' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at profile ls' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at profile show' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at profile show' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at profile show' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at profile show' -r -F -a '(__hybrid_profiles)'
complete -c hybrid -n '__hybrid_at profile check' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at profile check' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at profile check' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at profile check' -r -F
complete -c hybrid -n '__hybrid_at profile explain' -l profile -s p -r -F -a '(__hybrid_profiles)' -d 'The profile to run under'
complete -c hybrid -n '__hybrid_at profile explain' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at profile explain' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at profile explain' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at profile explain' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at profile schema' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at profile schema' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at profile schema' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at profile trust' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at profile trust' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at profile trust' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at profile trust' -r -F
complete -c hybrid -n '__hybrid_needs consent' -a ls -d 'List the origins consented to, and for which of their models'
complete -c hybrid -n '__hybrid_needs consent' -a grant -d 'Agree that prompts may be sent to ORIGIN when a profile hands off to it'
complete -c hybrid -n '__hybrid_needs consent' -a revoke -d 'Take that consent back'
complete -c hybrid -n '__hybrid_at consent; and not __hybrid_at consent ls; and not __hybrid_at consent grant; and not __hybrid_at consent revoke' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at consent; and not __hybrid_at consent ls; and not __hybrid_at consent grant; and not __hybrid_at consent revoke' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at consent; and not __hybrid_at consent ls; and not __hybrid_at consent grant; and not __hybrid_at consent revoke' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at consent ls' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at consent ls' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at consent ls' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at consent grant' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at consent grant' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at consent grant' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at consent revoke' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at consent revoke' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at consent revoke' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_needs usage' -a purge -d 'Forget what was sent. Amounts of this month stay, so that a purge gives no budget back'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l by -x -a 'day model origin profile reason outcome' -d 'What to sum up by'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l since -x -d 'From this day, month or year on (UTC): 2026-11-24, 2026-11 or 2026'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l profile -s p -r -F -a '(__hybrid_profiles)' -d 'The profile to run under'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l csv -d 'Print the sums as CSV'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l export -d 'Print every request as JSON, and when which were purged'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at usage; and not __hybrid_at usage purge' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at usage purge' -l yes -s y -d 'Do not ask'
complete -c hybrid -n '__hybrid_at usage purge' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at usage purge' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at usage purge' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at eval' -l profile -s p -r -F -a '(__hybrid_profiles)' -d 'The profile to run under'
complete -c hybrid -n '__hybrid_at eval' -l model -s m -r -F -a '(__hybrid_models)' -d 'The local model'
complete -c hybrid -n '__hybrid_at eval' -l cloud -x -a 'recorded live none' -d 'The cloud\'s side: as the data records it, by asking the profile\'s cloud, or none'
complete -c hybrid -n '__hybrid_at eval' -l split -x -a 'all fit test' -d 'Which half of the questions'
complete -c hybrid -n '__hybrid_at eval' -l limit -x -d 'The first N of them'
complete -c hybrid -n '__hybrid_at eval' -l max-tokens -x -d 'The most tokens of an answer, thinking included'
complete -c hybrid -n '__hybrid_at eval' -l rows -r -F -d 'Keep what was measured, and go on from there'
complete -c hybrid -n '__hybrid_at eval' -l unseen -x -a 'questions subjects' -d 'What the score of a question was fitted without: it, or all of its subject'
complete -c hybrid -n '__hybrid_at eval' -l plot -r -F -d 'Draw accuracy against the share handed off (svg, png, pdf)'
complete -c hybrid -n '__hybrid_at eval' -l run-commands -d 'Let the data\'s questions of the kind verify run theirs'
complete -c hybrid -n '__hybrid_at eval' -l yes -s y -d 'Send to the cloud without a question'
complete -c hybrid -n '__hybrid_at eval' -l dry-run -d 'Say what it would take, and stop'
complete -c hybrid -n '__hybrid_at eval' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at eval' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at eval' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at eval' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at eval' -r -F
complete -c hybrid -n '__hybrid_at calibrate' -l target -x -d 'escalate_at_most=0.3, wrong_at_most=0.1 or quality_at_least=0.95'
complete -c hybrid -n '__hybrid_at calibrate' -l from-ledger -d 'Go by what escalation.shadow recorded, in the place of DATA'
complete -c hybrid -n '__hybrid_at calibrate' -l delta -x -d 'The chance that wrong_at_most is broken, 0.001 to 0.5'
complete -c hybrid -n '__hybrid_at calibrate' -l profile -s p -r -F -a '(__hybrid_profiles)' -d 'The profile to run under'
complete -c hybrid -n '__hybrid_at calibrate' -l model -s m -r -F -a '(__hybrid_models)' -d 'The local model'
complete -c hybrid -n '__hybrid_at calibrate' -l cloud -x -a 'recorded live none' -d 'The cloud\'s side: as the data records it, by asking the profile\'s cloud, or none'
complete -c hybrid -n '__hybrid_at calibrate' -l split -x -a 'all fit test' -d 'Which half of the questions'
complete -c hybrid -n '__hybrid_at calibrate' -l limit -x -d 'The first N of them'
complete -c hybrid -n '__hybrid_at calibrate' -l max-tokens -x -d 'The most tokens of an answer, thinking included'
complete -c hybrid -n '__hybrid_at calibrate' -l rows -r -F -d 'Keep what was measured, and go on from there'
complete -c hybrid -n '__hybrid_at calibrate' -l run-commands -d 'Let the data\'s questions of the kind verify run theirs'
complete -c hybrid -n '__hybrid_at calibrate' -l yes -s y -d 'Send to the cloud without a question'
complete -c hybrid -n '__hybrid_at calibrate' -l dry-run -d 'Say what it would take, and stop'
complete -c hybrid -n '__hybrid_at calibrate' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at calibrate' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at calibrate' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at calibrate' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at calibrate' -r -F
complete -c hybrid -n '__hybrid_at doctor' -l profile -s p -r -F -a '(__hybrid_profiles)' -d 'The profile to run under'
complete -c hybrid -n '__hybrid_at doctor' -l online -d 'Connect to the cloud and start the key\'s command; nothing is sent'
complete -c hybrid -n '__hybrid_at doctor' -l json -d 'Print JSON'
complete -c hybrid -n '__hybrid_at doctor' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at doctor' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at doctor' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at completion' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at completion' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at completion' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at completion' -x -a 'bash zsh fish'
complete -c hybrid -n '__hybrid_at help' -l quiet -s q -d 'Only errors on stderr'
complete -c hybrid -n '__hybrid_at help' -l color -x -a 'auto always never' -d 'By default on terminals; NO_COLOR and FORCE_COLOR are heard'
complete -c hybrid -n '__hybrid_at help' -l help -s h -d 'Show this message and exit'
complete -c hybrid -n '__hybrid_at help' -x -a 'exit-codes profiles environment privacy run pipe pull models profile consent usage eval calibrate doctor completion help'
