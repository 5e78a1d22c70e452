"""Two paths made to change places at once, so that neither is missing or half for a moment.

Linux and macOS have a call for it that Python does not know.
"""

from __future__ import annotations

import os
from errno import EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP

_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2
_WITHOUT = (EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP)
"""How a system, or a file system, says that it cannot."""


def swap(one: str, other: str) -> bool:
    """Let two paths of one file system change places; False where that cannot be had.

    Raises OSError.
    """
    try:
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(one), os.fsencode(other)
        if os.uname().sysname == "Darwin":
            failed = library.renamex_np(*names, _RENAME_SWAP)
        else:
            failed = library.renameat2(
                _AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_RENAME_EXCHANGE)
            )
    except (ImportError, OSError, AttributeError):
        return False  # a Python without ctypes, or a C library without the call
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _WITHOUT:
        return False
    raise OSError(number, os.strerror(number), one, None, other)
