# Completion of mlp in fish. See `mlp completion --help`.

function __mlp_completion
    set -l word (commandline -ct)
    for answer in (
        env COMP_WORDS=(commandline -cp) COMP_CWORD=$word _MLP_COMPLETE=fish_complete mlp 2>/dev/null
    )
        set -l fields (string split \t -- $answer)
        if test $fields[1] = plain
            printf '%s\t%s\n' $fields[2] $fields[3]
            continue
        end
        # fish completes paths after the name of a command that has no completion of its own.
        set -l paths (complete -C "'' "(string sub -s (math $fields[2] + 1) -- $word))
        test $fields[1] = dir; and set paths (string match '*/' -- $paths)
        for path in $paths
            printf '%s%s\n' (string sub -l $fields[2] -- $word) $path
        end
    end
end

complete -c mlp -f -k -a '(__mlp_completion)'
