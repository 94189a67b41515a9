"""What to do about an error of the system, by its `errno`."""

from __future__ import annotations

import errno
import io

_FULL = "Free some space there, or choose another folder."
_FORBIDDEN = "Change the permissions, or choose another place."
_TAKEN = "Choose another name, or move away what stands there."
_LOOP = "A symbolic link leads back to itself. Correct it, or choose another path."
_UNABLE = "The file system cannot do this. Choose a folder on another one."
_BROKEN = "The disk or the connection to it may be broken. Check both, and the system's log."
_AWAY = "The file system is gone or does not answer. Check that it is mounted and connected."

_REMEDIES = {
    errno.EACCES: _FORBIDDEN,
    errno.EBUSY: "Another program uses it. Close that program, or choose another path.",
    errno.EDQUOT: _FULL,
    errno.EEXIST: _TAKEN,
    errno.EFBIG: "Raise the limit on the size of a file (`ulimit -f`), or choose another folder.",
    errno.EHOSTDOWN: _AWAY,
    errno.EINVAL: _UNABLE,
    errno.EIO: _BROKEN,
    errno.EISDIR: "A folder stands where a file is needed. Choose another path.",
    errno.ELOOP: _LOOP,
    errno.EMFILE: "Raise the limit on open files (`ulimit -n`).",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENFILE: "Too many files are open on this machine. Close other programs.",
    errno.ENODEV: _UNABLE,
    errno.ENOENT: "Check that the folder is there and that the name is right.",
    errno.ENOMEM: "Free some memory, or use a machine with more.",
    errno.ENOSPC: _FULL,
    errno.ENOSYS: _UNABLE,
    errno.ENOTCONN: _AWAY,
    errno.ENOTDIR: "A file stands where a folder is needed. Move it away, or choose another path.",
    errno.ENXIO: _BROKEN,
    errno.EOPNOTSUPP: _UNABLE,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: "The file system is read-only. Choose a folder on another one.",
    errno.ESPIPE: _UNABLE,
    errno.ESTALE: _AWAY,
    errno.ETIMEDOUT: _AWAY,
}

_HELD = 32, 33  # the numbers that Windows has for a file that another program holds


def remedy(error: OSError) -> str:
    """Return one or two sentences that say what a user can do about an error."""
    number = errno.EBUSY if getattr(error, "winerror", None) in _HELD else error.errno
    if isinstance(error, io.UnsupportedOperation):  # a file without positions; it has no number
        number = errno.ESPIPE
    return _REMEDIES.get(number or 0, "Check the path, or choose another one.")
