# Completion of mlp in bash, from version 4.4 on. See `mlp completion --help`.

_mlp_completion() {
    local IFS=$'\n' i piece word='' words=() left=${COMP_LINE:0:COMP_POINT} answers
    # bash splits words at = and :. Put them together, from the cursor to the left.
    for ((i = COMP_CWORD; i >= 0; i--)); do
        piece=${COMP_WORDS[i]}
        while ((i == COMP_CWORD)) && [[ $left != *"$piece" ]]; do
            piece=${piece%?} # the cursor is within the word
        done
        left=${left%"$piece"*}
        word=$piece$word
        if ((i == 0)) || [[ $left == *[[:space:]] ]]; then
            words=("$word" "${words[@]}")
            word=''
            left=${left%"${left##*[![:space:]]}"}
        fi
    done

    mapfile -t answers < <(
        COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) _MLP_COMPLETE=bash_complete \
            "${1/#\~\//$HOME/}" 2>/dev/null
    )
    # bash replaces only the piece at the cursor, which is $2.
    local answer value before=${words[-1]%"$2"}
    COMPREPLY=()
    for answer in "${answers[@]}"; do
        value=${answer#*$'\t'}
        value=${value%%$'\t'*}
        case $answer in
            plain*)
                value=${value#"$before"}
                [[ $2 == *[\'\"]* || $before == *[\'\"]* ]] || value=${value// /\\ }
                COMPREPLY+=("$value")
                [[ $value == *= ]] && compopt -o nospace
                ;;
            dir* | file*)
                compopt -o filenames
                mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -"${answer:0:1}" -- "$2")
                ;;
        esac
    done
}

complete -o nosort -F _mlp_completion mlp
