#compdef mlp
# Completion of mlp in zsh. See `mlp completion --help`.

_mlp() {
    local kind value help entry skipped
    local -a asked open closed paths
    asked=("${(@)words[1,CURRENT-1]}" "$QIPREFIX$PREFIX")
    while IFS=$'\t' read -r kind value help; do
        entry=${value//:/\\:}${help:+:$help}
        case $kind in
            plain) if [[ $value == *= ]]; then open+=("$entry"); else closed+=("$entry"); fi ;;
            dir) skipped=$value paths=(-/) ;;
            file) skipped=$value paths=(-f) ;;
        esac
    done < <(
        COMP_WORDS="${(F)asked}" COMP_CWORD=$((CURRENT - 1)) _MLP_COMPLETE=zsh_complete \
            ${~words[1]} 2>/dev/null
    )
    (($#open)) && _describe -V key open -S ''
    (($#closed)) && _describe -V value closed
    (($#paths)) && compset -p $skipped && _path_files $paths
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _mlp "$@"
else
    (($+functions[compdef])) || { autoload -Uz compinit && compinit -i }
    compdef _mlp mlp
fi
