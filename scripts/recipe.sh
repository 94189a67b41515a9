#!/bin/sh
# Trains a recipe once for each seed, into results/<recipe>/<seed>:
#
#     scripts/recipe.sh configs/recipes/linear.yaml 0 1 2 3 4
#
# An interrupted run is continued, and a finished one is skipped. MLP_OPTIONS holds further options of
# `mlp train` for all runs, such as MLP_OPTIONS="--data-dir data".
set -eu
recipe=$1
shift
for seed in "$@"; do
    # shellcheck disable=SC2086 # the options must be split into words
    mlp train --config "$recipe" --set "seed=$seed" --resume --quiet ${MLP_OPTIONS:-} \
        --out "results/$(basename "$recipe" .yaml)/$seed"
done
