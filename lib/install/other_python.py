"""Run by a hook that this Python cannot run: one line that says so, and exit 1.

Python 3.6 must be able to parse this, journal.py and the scripts in hooks/.
"""

import sys

getattr(sys.stdin, "buffer", sys.stdin).read()
name = sys.argv[0][sys.argv[0].rfind("/") + 1 :]
line = ["workflow-state:", name, "needs Python 3.9 or later (CPython); this is", sys.version]
line += ["at", str(sys.executable), "and fails with:", str(sys.exc_info()[1])]
sys.stderr.write(" ".join(" ".join(line).split())[:400] + "\n")
sys.exit(1)
