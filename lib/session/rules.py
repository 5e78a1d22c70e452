"""What recorded calls mean: the tables, and how a project changes them.

A project's `.claude/workflow-state.json` may hold

    {"phases": {"review": ["mcp__github__*review*", "$ gh pr review"], "build": ["$ bazel build"]}}

which adds to the table below, or replaces it with `"extend": false` beside it; `"writes"` and
`"reads"` add tools whose path counts as changed or as read. A pattern is a tool's name, `mode:`
and a permission mode, or `$ ` and the first words of a shell command; `*` stands for anything
within a word. `$ >` is output into a file. Where several fit, the longest decides.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..format.types import About

_BUILT_IN = """
scout  Read, Grep, Glob, LS, LSP, NotebookRead, WebFetch, WebSearch
scout  mcp__*__read*, mcp__*__get*, mcp__*__list*, mcp__*__search*, mcp__*__find*
scout  $ ls, $ cat, $ head, $ tail, $ less, $ wc, $ tree, $ pwd, $ file, $ stat, $ du, $ diff, $ jq
scout  $ grep, $ rg, $ ag, $ find, $ fd, $ which, $ sed -n
scout  $ git status, $ git log, $ git diff, $ git show, $ git blame, $ git grep, $ git ls-files
scout  $ git branch, $ git remote, $ git stash list, $ git tag -l, $ git tag --list
scout  $ gh pr view, $ gh pr list, $ gh pr diff, $ gh issue view, $ gh issue list
plan   mode:plan, EnterPlanMode, ExitPlanMode
build  Write, Edit, MultiEdit, NotebookEdit, mcp__*__write*, mcp__*__edit*
build  $ >, $ sed -i, $ perl -i, $ patch, $ mv, $ cp, $ rm, $ mkdir, $ touch, $ ln, $ chmod
build  $ git apply, $ git mv, $ git rm, $ git checkout, $ git restore, $ git merge, $ git rebase
build  $ git cherry-pick, $ git revert, $ git stash
build  $ make, $ cmake, $ ninja, $ cargo build, $ cargo add, $ go build, $ go get, $ tsc
build  $ npm install, $ npm run build*, $ yarn add, $ yarn build, $ pnpm add, $ pnpm install
build  $ pip install, $ uv add, $ uv sync, $ poetry add, $ gradle build, $ mvn compile
build  $ dotnet build, $ swift build, $ mix compile, $ bazel build
test   $ pytest, $ py.test, $ unittest, $ doctest, $ tox, $ nox, $ nose2, $ manage.py test
test   $ hatch test, $ npm test, $ npm t, $ npm run test*, $ yarn test*, $ yarn run test*
test   $ pnpm test*, $ pnpm run test*, $ bun test, $ bun run test*, $ deno test, $ node --test
test   $ jest, $ vitest, $ mocha, $ ava, $ karma, $ cypress run, $ playwright test
test   $ make test*, $ make check*, $ just test*, $ task test*, $ ctest, $ meson test, $ bats
test   $ go test, $ gotestsum, $ cargo test, $ cargo nextest, $ mvn test, $ mvn verify
test   $ gradle test, $ gradle check, $ gradlew test, $ gradlew check, $ sbt test, $ prove
test   $ dotnet test, $ rspec, $ rake test, $ rails test, $ phpunit, $ pest, $ mix test
test   $ swift test, $ zig test, $ zig build test, $ bazel test, $ stack test, $ cabal test
test   $ dune test, $ flutter test
ship   $ git commit, $ git push, $ git tag, $ gh pr create, $ gh pr merge, $ gh release create
ship   $ glab mr create, $ npm publish, $ npm version, $ yarn publish, $ pnpm publish, $ gem push
ship   $ twine upload, $ uv publish, $ poetry publish, $ hatch publish, $ cargo publish
ship   $ docker push, $ docker buildx build --push, $ helm upgrade, $ kubectl apply
ship   $ terraform apply, $ goreleaser, $ make release*, $ make publish*, $ make deploy*
ship   $ npm run deploy*, $ npm run release*, $ fly deploy, $ vercel deploy, $ netlify deploy
"""


def _table(text: str) -> dict[str, list[str]]:
    phases: dict[str, list[str]] = {}
    for line in text.strip().splitlines():
        phase, patterns = line.split(None, 1)
        phases.setdefault(phase, []).extend(patterns.split(", "))
    return phases


PHASES = _table(_BUILT_IN)
"""Phase -> patterns. The first phase is the weakest: within one request it never takes the place of
another, so that reading does not end a build."""

WRITES = (
    "Write Edit MultiEdit NotebookEdit mcp__*__write_file mcp__*__write_text_file "
    "mcp__*__edit_file mcp__*__create_file "
    "mcp__*__create_text_file mcp__*__append_file mcp__*__delete_file"
).split()
"""Tools whose path is changed when they succeed. Others are not guessed at: a `path` that an MCP
server takes may well be a path on another machine."""

READS = "Read NotebookRead mcp__*__read_file mcp__*__read_text_file".split()
"""Tools whose path is read when they succeed."""

CONTINUES = {
    "resume": "itself",
    "compact": "itself",
    "clear": "the session that was cleared last",
    "fork": "the session active last",
    "startup": "the last session that is not alive",
}
"""Which session a session continues, by the `source` of its SessionStart; lineage.py finds it."""

_GOALS = frozenset("mvn mvnw gradle gradlew make rake just sbt ctest task".split())
_TAKES_VALUE = frozenset("-C -c --prefix --filter --dir --cwd --git-dir --work-tree".split())


def matches(text: str, pattern: str) -> bool:
    """Whether a pattern fits the whole of a text; `*` in it stands for anything."""
    head, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, tail = rest
    if not text.startswith(head) or len(text) < len(head) + len(tail) or not text.endswith(tail):
        return False
    start, end = len(head), len(text) - len(tail)
    for part in middle:
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def _fits(pattern: list[str], words: list[str]) -> bool:
    """Whether a command begins with the words of `pattern`, its options aside."""
    plain: list[str] = []
    options: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-") and plain:
            options.append(word)
            skip = word in _TAKES_VALUE
        else:
            plain.append(word)
    wanted = [word for word in pattern if not word.startswith("-")]
    if len(wanted) == 2 and wanted[0] in _GOALS and plain[0] == wanted[0]:
        fits = any(matches(goal, wanted[1]) for goal in plain[1:])
    else:
        fits = len(plain) >= len(wanted) and all(map(matches, plain, wanted))
    if not fits:
        return False
    return all(
        any(given.startswith(option) for given in options) for option in pattern if option[0] == "-"
    )


class Rules:
    """The tables, a project's additions included, ready to be asked."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        settings = settings or {}
        given = _lists(settings.get("phases"))
        table = dict(given)
        if settings.get("extend") is not False or not given:
            table = {
                name: [*given.get(name, []), *PHASES.get(name, [])] for name in {**PHASES, **given}
            }
        self.phases = list(table)
        self.writes = [*WRITES, *_lists({"": settings.get("writes")}).get("", [])]
        self.reads = [*READS, *_lists({"": settings.get("reads")}).get("", [])]
        self._tools: dict[str, str | None] = {}
        self._patterns: list[tuple[str, str]] = []
        self._commands: dict[str, list[tuple[list[str], str]]] = {}
        self._into_file: str | None = None
        for phases in (given, table):
            for phase, patterns in phases.items():
                for pattern in patterns:
                    self._add(pattern, phase)
        # Of patterns as long without their stars, the project's comes first: it was added first.
        self._patterns.sort(key=lambda rule: -len(rule[0].replace("*", "")))
        for rules in self._commands.values():
            rules.sort(key=lambda rule: -len("".join(rule[0]).replace("*", "")))

    def _add(self, pattern: str, phase: str) -> None:
        if pattern == "$ >":
            self._into_file = self._into_file or phase
        elif pattern.startswith("$ ") and pattern[2:].strip():
            words = pattern[2:].split()
            self._commands.setdefault(words[0], []).append((words, phase))
        else:
            self._patterns.append((pattern, phase))

    def phase_of_tool(self, tool: str) -> str | None:
        """The phase that a tool's use means, or a `mode:NAME`'s; None when it means none."""
        if tool not in self._tools:
            mode = tool.startswith("mode:")
            fitting = (
                phase
                for pattern, phase in self._patterns
                if matches(tool, pattern) and pattern.startswith("mode:") == mode
            )
            self._tools[tool] = next(fitting, None)
        return self._tools[tool]

    def phase_of_command(self, command: str) -> str | None:
        """The phase of a shell command: that of its last part that is more than looking."""
        from .shell_words import segments

        phase = None
        weakest = self.phases[0]
        for part in segments(command):
            into_file = part[0] == "$>"
            words = part[1:] if into_file else part
            rules = self._commands.get(words[0], ()) if words else ()
            found = next((name for pattern, name in rules if _fits(pattern, words)), None)
            if into_file and found in (None, weakest):
                found = self._into_file or found
            if found and (found != weakest or phase is None):
                phase = found
        return phase

    def phase(self, record: About) -> str | None:
        """The phase that one ended call means, or a request made in plan mode."""
        mode = record.get("mode")
        phase = self.phase_of_tool(f"mode:{mode}") if mode else None
        tool = record.get("tool")
        if phase or not tool:
            return phase
        command = record.get("command")
        phase = self.phase_of_tool(tool)
        if command and phase is None:
            phase = self.phase_of_command(command)
            if phase in (None, self.phases[0]) and self.changed(record):
                phase = self._into_file or phase
        return phase

    def changed(self, record: About) -> dict[str, str]:
        """The paths that a successful call changed, each with its outcome."""
        facts: Any = record
        if facts.get("staged"):
            return {}
        outcomes = {
            path: kind
            for kind in ("created", "changed", "deleted")
            for path in facts.get(kind, ())
            if isinstance(path, str)
        }
        path, tool = record.get("path"), record.get("tool", "")
        if path and any(matches(tool, pattern) for pattern in self.writes):
            created = facts.get("result") == "create" or "create" in tool.rpartition("__")[2]
            deleted = "delete" in tool.rpartition("__")[2]
            outcomes[path] = "created" if created else "deleted" if deleted else "changed"
        return outcomes

    def read(self, record: About) -> str | None:
        """The path that a successful call read."""
        tool = record.get("tool", "")
        fits = record.get("path") and any(matches(tool, pattern) for pattern in self.reads)
        return record["path"] if fits else None


def _lists(value: Any) -> dict[str, list[str]]:
    """A mapping of lists of strings out of a settings file that could hold anything."""
    if not isinstance(value, dict):
        return {}
    return {
        name: [item for item in items if isinstance(item, str)]
        for name, items in value.items()
        if isinstance(name, str) and isinstance(items, list)
    }
