#!/bin/sh
# Trains a recipe with each of some seeds, into results/<recipe>/<seed>; what was stopped goes on, what
# is finished is passed over:
#
#     scripts/recipe.sh configs/recipes/linear.yaml 0 1 2 3 4
#
# Options of `mlp train` for all of them stand in MLP_OPTIONS, as in MLP_OPTIONS="--data-dir data".
set -eu
recipe=$1
shift
for seed in "$@"; do
    # shellcheck disable=SC2086 # the options are words
    mlp train --config "$recipe" --set "seed=$seed" --resume --quiet ${MLP_OPTIONS:-} \
        --out "results/$(basename "$recipe" .yaml)/$seed"
done
