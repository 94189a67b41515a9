"""Search hyperparameters: many trainings in one folder, by any number of processes.

The folders are the truth. A sweep is a list of trials, and trial 42 with seed 0 is an ordinary run
in `trials/00042/seed-0`. What remains to be done is read from the folders each time, so a process
that is killed loses nothing and repeats nothing. The lock on a run's folder is the claim: a process
that holds it trains that run.

    definition      the sweep file as an object, and sweep.yaml, which is its copy in the folder
    reading         the sweep file, with every fault and its line
    space           what is searched: choices, ranges and conditions; grid and random values
    trials          the configuration of each trial
    folder          the files of a sweep, and the claims
    history         what the folders say: which runs are finished, diverged, pruned or failed
    search          TPE and CMA-ES, by Optuna, from the history
    pruning         which trials end early
    work            one training of a trial, in a process of its own
    executor        what trains runs: processes or a cluster
    processes       processes of this machine, forked from one that has loaded everything
    spawned         processes of this machine, each started anew, if a fork is not safe
    cluster         the workers of a Dask scheduler
    cluster_client  the connection to it
    cluster_task    what the workers do
    progress        what the user sees
    driver          the loop on one page: claim, train, look, until nothing is left
    outcome         the best trial and `result.json`
"""
