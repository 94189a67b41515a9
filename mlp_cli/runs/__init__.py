"""A run: the program that fills its folder.

train          the program on one page
fetching       the data of a run, fetched first if that is allowed
claim          which folder a run gets
folder         who may use the folder, and what is in it
lock           one process at a time, in the folder that is there
records        the readers of a run's JSON
state          whether the run has finished
saver          what is written, and when
listing        the runs in folders, and what each says about itself
comparing      runs in lines to compare, those that differ only in their seed in one
tensorboard    event files for TensorBoard
resume         whether a run can be continued, and from where
same_data      whether it is continued on the same data, and where they are now
interruption   how a training is asked to stop
progress       bars and lines on stderr, in the colours of `colour`
summary        what a training tells when it starts, and when it is stopped
"""
