"""A run: the program that fills its folder.

train          the program on one page
fetching       the data of a run, fetched first if that is allowed
folder         who may use the folder, and what is in it
lock           one process at a time, in the folder that is there
records        the readers of a run's JSON
saver          what is written, and when
resume         whether a run can be continued, and from where
interruption   how a training is asked to stop
progress       bars and lines on stderr
"""
