"""Files that are written whole or not at all, and read with suspicion.

`files` writes a file under a temporary name and renames it, and turns the system's errors into
messages. `npz` reads and writes NumPy's archives without trusting what they claim. `checkpoint` is
the format of `best.npz` and `last.npz`: arrays, a JSON header and a digest. `strict_json` writes
JSON without NaN and infinity.
"""
