"""Who computes a step: the threads, and the kernels that run its operations.

threads   a team of threads, the workers
kernels   what kernels are, and NumPy's
fast      the compiled kernels
engine    a team and its kernels together
select    which threads and kernels a training gets
machine   the record of the machine
"""
