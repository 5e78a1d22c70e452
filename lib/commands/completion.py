"""`completion`: what a shell offers at the Tab key, told by the parser itself at each press.

The script that a shell loads only asks: `workflow-state completion SHELL --words ...`, a dot before
each word, answers with a candidate a line, two spaces and its help; or with `:files` or
`:directories`. So it cannot get out of date, and it knows the names that are there.
"""

from __future__ import annotations

import argparse
import os
import shlex

from ..project.place import journals, read_settings
from ..recording import journal
from ..session.rules import PHASES
from ..state import State, StateError
from ..stores import CHECKPOINTS
from .arguments import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .arguments import Answer

_PROGRAM = os.path.realpath(f"{__file__}/../../../bin/workflow-state")

_BASH = """\
# bash completion of workflow-state: eval "$(workflow-state completion bash)"
_workflow_state() {
  local IFS=$'\\n' line current=${COMP_WORDS[COMP_CWORD]}
  local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
  [ "$current" = = ] && current=
  COMPREPLY=()
  while read -r line; do
    case $line in
      :files) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")) ;;
      :directories) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$current")) ;;
      *) COMPREPLY+=("${line%%  *}") ;;
    esac
  done < <(@PROGRAM@ completion bash --words "${words[@]/#/.}" 2>/dev/null)
}
complete -F _workflow_state workflow-state
"""
_ZSH = """\
#compdef workflow-state
# zsh completion of workflow-state: source <(workflow-state completion zsh), behind compinit
_workflow_state() {
  local -a asked lines values
  local line
  asked=("${(@Q)words[2,CURRENT]}")
  lines=("${(@f)$(@PROGRAM@ completion zsh --words "${(@)asked/#/.}" 2>/dev/null)}")
  case $lines[1] in
    :files) _files; return ;;
    :directories) _files -/; return ;;
  esac
  for line in $lines; do
    case $line in
      *'  '*) values+=("${${line%%  *}//:/\\\\:}:${line#*  }") ;;
      ?*) values+=("${line//:/\\\\:}") ;;
    esac
  done
  ((${#values})) && _describe workflow-state values
}
if [[ $funcstack[1] == _workflow-state ]]; then
  _workflow_state "$@"
else
  compdef _workflow_state workflow-state
fi
"""
_FISH = """\
# fish completion of workflow-state: workflow-state completion fish | source
function __workflow_state
    set -l words (commandline -opc)[2..-1]
    set -l current (commandline -ct)
    set -l lines (@PROGRAM@ completion fish --words .$words ".$current" 2>/dev/null)
    switch "$lines[1]"
        case :files
            __fish_complete_path "$current"
        case :directories
            __fish_complete_directories "$current"
        case '*'
            string replace '  ' \\t -- $lines
    end
end
complete -c workflow-state -f -a '(__workflow_state)'
"""
_MORE = """\
Prints a script that makes the Tab key complete commands, options, and the names of keys,
checkpoints, sessions and phases. The script asks this program at each press, so it stays as it is
when the program changes.
"""
_END = """\
examples:
  eval "$(workflow-state completion bash)"        in ~/.bashrc
  source <(workflow-state completion zsh)         in ~/.zshrc, behind compinit
  workflow-state completion fish | source         in ~/.config/fish/config.fish
"""


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SHELLS: dict[str, tuple[str, Callable[[str], str]]] = {
    "bash": (_BASH, shlex.quote),
    "zsh": (_ZSH, shlex.quote),
    "fish": (_FISH, _fish_quoted),
}


def register(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    parser = add(
        commands,
        parents,
        "completion",
        completion,
        "print a shell's completion script",
        _MORE,
        _END,
    )
    parser.set_defaults(stateless=True)
    parser.add_argument("shell", metavar="bash|zsh|fish", choices=_SHELLS, help="the shell")
    parser.add_argument("--words", nargs="+", metavar=".WORD", help=argparse.SUPPRESS)


def completion(_state: None, arguments: argparse.Namespace) -> Answer:
    """The script, or candidates for the last of some words."""
    if arguments.words is not None:
        found = candidates(arguments.parser, [word[1:] for word in arguments.words])
        return dict(found), ["  ".join(filter(None, pair)) for pair in found]
    script, quoted = _SHELLS[arguments.shell]
    script = script.replace("@PROGRAM@", quoted(_PROGRAM))
    return {"script": script}, script.splitlines()


# --- what could stand here ---------------------------------------------------------------------

FILES, DIRECTORIES = ":files", ":directories"


def candidates(parser: argparse.ArgumentParser, words: list[str]) -> list[tuple[str, str]]:
    """What the last of the words could become, each with its help; the others stand before it."""
    *before, word = words
    place = _Place(parser)
    for each in before:
        place.take(each)
    if word == "=":  # bash parts --option=value into three words
        word = ""
    if place.awaited is None and word.startswith("--") and "=" in word:
        option, _, word = word.partition("=")
        place.take(option)
        found = [(f"{option}={value}", text) for value, text in place.values()]
        return [pair for pair in found if pair[0].startswith(f"{option}={word}")]
    found = place.options() if place.awaited is None and word[:1] == "-" else place.values()
    return [pair for pair in found if pair[0].startswith(word) or pair[0][:1] == ":"]


class _Place:
    """Where in a command line one is: which parser reads on, and which argument is next."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.awaited: argparse.Action | None = None
        """The option whose value is next."""
        self.given: dict[str, str] = {}
        self._enter(parser)

    def _enter(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        self.rest = [action for action in parser._actions if not action.option_strings]

    def take(self, word: str) -> None:
        if self.awaited is not None:
            if word != "=":
                self.given[self.awaited.dest] = word
                self.awaited = None
        elif word.startswith("-") and len(word) > 1:
            option, equals, value = word.partition("=")
            action = self.parser._option_string_actions.get(option)
            if action is not None and action.nargs != 0:
                self.awaited = action
                if equals:
                    self.take(value)
        elif self.rest:
            action = self.rest[0]
            if isinstance(action, argparse._SubParsersAction):
                if word in action.choices:
                    self._enter(action.choices[word])
            elif action.nargs in (None, "?"):
                del self.rest[0]

    def options(self) -> list[tuple[str, str]]:
        return [
            (max(action.option_strings, key=len), action.help or "")
            for action in self.parser._actions
            if action.option_strings and action.help != argparse.SUPPRESS
        ]

    def values(self) -> list[tuple[str, str]]:
        action = self.awaited or (self.rest[0] if self.rest else None)
        if action is None or action.help == argparse.SUPPRESS:
            return []
        if isinstance(action, argparse._SubParsersAction):
            return [(choice.dest, choice.help or "") for choice in action._choices_actions]
        if action.choices is not None:
            return [(str(choice), "") for choice in action.choices]
        try:
            return [(name, "") for name in _named(str(action.metavar), self.given)]
        except (StateError, journal.Unusable, OSError):
            return []  # the command itself will tell


def _named(metavar: str, given: dict[str, str]) -> list[str]:
    """What is there to be named where the help calls it so."""
    if metavar == "DIR":
        return [DIRECTORIES]
    if metavar == "FILE":
        return [FILES]
    directory = os.path.expanduser(given["dir"]) if "dir" in given else None
    state = State(directory, given.get("session"))
    if metavar == "KEY":
        return state.keys()
    if metavar == "CHECKPOINT":
        return state.store.names(CHECKPOINTS)
    if metavar == "ID":
        return [session for _, session in journals(state.directory)]
    if metavar == "PHASE":
        own = read_settings(state.project)[0].get("phases")
        names = dict.fromkeys([*PHASES, *(own if isinstance(own, dict) else ()), "auto"])
        return [name for name in names if name == " ".join(name.split())]
    return []
