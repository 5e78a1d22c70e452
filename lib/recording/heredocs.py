"""Here-documents and patches in a command: contents of files, which are never kept."""

BEGIN, END = "*** Begin Patch", "*** End Patch"

_DIFF = ("+", "-", " ", "@@", "\\", "diff ", "index ", "new file", "deleted file", "rename ")


def _delimiters(line: str) -> "list[tuple[str, bool]]":
    """The delimiters of the here-documents that a line begins, and whether tabs go before them."""
    found = []
    _, *starts = line.replace("<<<", "").split("<<")
    for start in starts:
        rest = start.lstrip("-").lstrip(" \t")
        quote = rest[:1] if rest[:1] in ("'", '"') else ""
        if quote:
            delimiter = rest[1:].partition(quote)[0]
        else:
            delimiter = rest
            for end in " \t;|&<>()":
                delimiter = delimiter.partition(end)[0]
            delimiter = delimiter.replace("\\", "").strip("'\"")
        if quote or delimiter:
            found.append((delimiter, start[:1] == "-"))
    return found


def without_contents(command: str) -> str:
    """A shell command less the bodies of its here-documents and the lines of its patches."""
    return _without_heredocs(_without_diffs(_without_patches(command.replace("\r\n", "\n"))))


def _without_patches(command: str) -> str:
    head, *patches = command.split(BEGIN)
    kept = [head]
    for patch in patches:
        _, end, behind = patch.partition(END)
        kept += [BEGIN, " ", end, behind]
    return "".join(kept)


def _without_diffs(command: str) -> str:
    """The command with the file names of a unified diff, and no line below them."""
    if "\n+++ " not in command:
        return command
    kept: list[str] = []
    inside = False
    for line in command.split("\n"):
        if line.startswith("+++ ") and kept and kept[-1].lstrip("'\"").find("--- ") >= 0:
            inside = True
            kept.append(line)
        elif not (inside and (not line or line.startswith(_DIFF))):
            inside = False
            kept.append(line)
        elif line.startswith("--- "):
            kept.append(line)
    return "\n".join(kept)


def _without_heredocs(command: str) -> str:
    kept = []
    lines = iter(command.split("\n"))
    for line in lines:
        kept.append(line)
        for delimiter, tabs in _delimiters(line):
            for body in lines:
                if (body.lstrip("\t") if tabs else body) == delimiter:
                    break
    return "\n".join(kept)
