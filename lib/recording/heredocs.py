"""The here-documents of a shell command. Their bodies are file contents, which are never kept."""


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


def without_heredocs(command: str) -> str:
    """A shell command less the bodies of its here-documents."""
    kept = []
    lines = iter(command.replace("\r\n", "\n").split("\n"))
    for line in lines:
        kept.append(line)
        for delimiter, tabs in _delimiters(line):
            for body in lines:
                if (body.lstrip("\t") if tabs else body) == delimiter:
                    break
    return "\n".join(kept)
