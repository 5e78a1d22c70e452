"""Under an older locale Python turns the text of a path into other bytes than the client does."""

from __future__ import annotations

import os
import sys


def restart() -> None:
    """Replace the process by one in which text is UTF-8; it returns where it is already.

    A tool hook does without: it opens files of ours only, and knows how to name them.
    """
    if sys.getfilesystemencoding() == "utf-8" or not sys.executable:
        return
    flags = ["-I"] * sys.flags.isolated + ["-S"] * sys.flags.no_site
    if sys.stdout is not None:  # the terminal is what it was
        os.environ["PYTHONIOENCODING"] = f"{sys.stdout.encoding}:backslashreplace"
    command = [sys.executable, "-X", "utf8", *flags, *sys.argv]
    os.execv(command[0], command)  # noqa: S606
