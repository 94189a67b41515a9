#!/bin/sh
# Trains a recipe once for each seed, into runs/<recipe>/<seed>.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

minutes() { # of each run of the recipe $1 whose result is in results/
    sed -n 's/.*"seconds": *\([0-9.]*\).*/\1/p' "$here/results/$1"/*/result.json 2>/dev/null |
        awk '{ sum += $1 } END { if (NR) printf "%.1f", sum / NR / 60 }'
}

usage() {
    cat <<'END'
Usage: scripts/recipe.sh RECIPE SEED...

Train a recipe once for each seed, into runs/RECIPE/SEED. An interrupted run is continued, and a
finished one is skipped. MLP_OPTIONS holds further options of `mlp train` for all runs, such as
MLP_OPTIONS="--data-dir data".

    scripts/recipe.sh linear 0 1 2 3 4
    python scripts/results.py runs        # compare them with the published figures

Minutes a run, on two cores:
END
    for recipe in "$here"/configs/recipes/*.yaml; do
        name=$(basename "$recipe" .yaml)
        took=$(minutes "$name")
        printf '    %-36s%5s\n' "$name" "${took:-?}"
    done
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
[ $# -ge 2 ] || { usage >&2 && exit 2; }
name=$(basename "$1" .yaml)
shift
for seed in "$@"; do
    echo "$name, seed $seed: about $(minutes "$name") minutes on two cores" >&2
    # shellcheck disable=SC2086 # the options must be split into words
    mlp train "$here/configs/recipes/$name.yaml" --set "seed=$seed" --resume --quiet \
        ${MLP_OPTIONS:-} --out "runs/$name/$seed"
done
