"""Files that are written whole or not at all, and strict readers of untrusted files.

files         atomic writes, and the errors of the file system
folders       folders that several processes write into
locks         one process at a time in a folder
remedies      what to do about each error of the file system
paths         paths as a user gives them
npz           `.npz` files: a writer, and a reader that accepts exactly what it writes
checkpoint    a network's arrays, a JSON header and a digest, in one `.npz`
header        what the header of a checkpoint holds, as records
strict_json   JSON without NaN, with bounded depth
"""
