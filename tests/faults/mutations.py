"""Each protection broken by hand, and the test that notices: `make mutations`.

A mutation is one edit of a copy of the code. The tests named with it must fail then; a mutation
that none of them notices is a protection that nothing proves, and fails the run. What was broken
and what caught it goes into the table of docs/reliability.md, which nobody else writes:
tests/test_mutations.py compares the two.

python3 -m tests.faults.mutations [WORD ...]    those whose protection has all of the words
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .report import ROOT, publish, published

PARTS = (
    "lib hooks bin skills tests docs demo .claude-plugin pyproject.toml settings.example.json README.md LICENSE"
).split()


@dataclass(frozen=True)
class Mutation:
    """
    what    the protection, in words
    file    where it is
    before  its text there, wherever it stands
    after   what is put in its place
    tests   arguments for pytest: where it should be noticed
    """

    what: str
    file: str
    before: str
    after: str
    tests: str


DURABLE, JOURNAL, STORE = (
    "lib/disk/durable.py",
    "lib/recording/journal.py",
    "lib/stores/json_files.py",
)
ARCHIVE, IMPORTING = "lib/maintenance/archive_format.py", "lib/maintenance/importing.py"
TRANSFER = "tests/test_transfer.py"
HOSTILE = "tests/faults/hostile"
MUTATIONS = (
    Mutation(
        "a start that cannot be recorded tells what is known",
        "lib/events/session_start.py",
        "    except (OSError, journal.Unusable) as error:\n        state.sessions.notices",
        "    except ZeroDivisionError as error:\n        state.sessions.notices",
        "tests/test_session_start.py -k recorded",
    ),
    Mutation(
        "the same id with another subject is another call",
        "lib/session/calls.py",
        "(isinstance(known, list) and known[0] != _subject(record))",
        "False",
        "tests/test_fold.py -k used",
    ),
    Mutation(
        "an empty journal is not another user's",
        "lib/session/live.py",
        '{} if live["last_active"] else problems',
        '{} if live["last_active"] else {"foreign": 1}',
        "tests/test_session_start.py -k what_it_is",
    ),
    Mutation(
        "what is adopted counts behind a checkpoint too",
        "lib/session/partial.py",
        "                raise SignedAnew",
        "                pass",
        "tests/test_trust.py -k went_on",
    ),
    Mutation(
        "a mark is believed only by its signature",
        "lib/session/partial.py",
        "if not known or verdict_on(_scope(session), document) != OURS:",
        "if not known:",
        "tests/test_partial.py -k believed",
    ),
    Mutation(
        "a state that lacks what it inherits leaves no mark",
        "lib/session/live.py",
        "                if not folding.incomplete:\n",
        "                if True:\n",
        "tests/test_partial.py -k continues",
    ),
    Mutation(
        "behind a gap nothing is told as going on",
        "lib/session/partial.py",
        "states.beyond_a_gap(self.state)",
        "self.state",
        "tests/test_partial.py -k gap",
    ),
    Mutation(
        "a stop looks again for what could not be seen",
        "lib/events/nothing_new.py",
        ' or ("shell" in mark and _git_may_see(project))',
        "",
        "tests/test_git.py -k could_not_be_seen",
    ),
    Mutation(
        "what git started ends with it",
        "lib/project/run_git.py",
        "os.killpg(process.pid, signal.SIGKILL)",
        "process.kill()",
        "tests/test_run_git.py -k filter",
    ),
    Mutation(
        "what a pull brought is no change",
        "lib/project/git.py",
        '["-g", "--grep-reflog=^commit", "--grep-reflog=^revert", "--cc"]',
        "[]",
        "tests/test_git.py -k others_committed",
    ),
    Mutation(
        "an idle stop is one that no key was saved before",
        "lib/stores/checkpoint_head.py",
        "head if _keys_are_older(state, made) else None",
        "head",
        "tests/test_stop.py -k writes_a_checkpoint_after",
    ),
    Mutation(
        "the published list is added to only where it is proved",
        "lib/checkpoints.py",
        '        if published and published.get("check") and verdict_on(FILES, published) == OURS:',
        "        if published:",
        "tests/test_stop.py -k writes_a_checkpoint_after",
    ),
    Mutation(
        "a long string's end is not mistaken",
        "lib/recording/large_events.py",
        "        if not _is_escaped(data, before):\n            return -1\n",
        "",
        "tests/test_large_events.py",
    ),
    Mutation(
        "an event divided in two ways is read whole",
        "lib/recording/large_events.py",
        '    return b"" if _is_mixed(kept, spaced) else kept',
        "    return kept",
        "tests/test_large_events.py",
    ),
    Mutation(
        "a patch in a command is cut",
        "lib/recording/heredocs.py",
        '        kept += [BEGIN, " ", end, behind]\n',
        "        kept += [BEGIN, patch]\n",
        "tests/test_journal.py",
    ),
    Mutation(
        "a value that stands for another is kept",
        "lib/recording/masking/values.py",
        "    return not _is_reference(value, behind)\n",
        "    return True\n",
        "tests/test_masking_values.py",
    ),
    Mutation(
        "a long word of a known form is masked without a name",
        "lib/recording/masking/words.py",
        "    if may_hold_token(text):\n",
        "    if False:\n",
        "tests/test_masking.py",
    ),
    Mutation(
        "what may hold a secret meets the patterns",
        "lib/recording/masking/words.py",
        "    if _has_named_value(text, lowered):\n",
        "    if False:\n",
        "tests/test_masking.py",
    ),
    Mutation(
        "a document is synced before its rename",
        DURABLE,
        "            os.fsync(descriptor)\n",
        "",
        "tests/faults/test_power_loss.py -k save",
    ),
    Mutation(
        "the folder is synced after a rename",
        DURABLE,
        "            sync_directory(folder)\n    except",
        "            pass\n    except",
        "tests/faults/test_power_loss.py -k save",
    ),
    Mutation(
        "a file system that cannot sync a directory is used",
        DURABLE,
        "        if error.errno not in (EINVAL, ENOTSUP, EROFS):\n            raise\n",
        "        raise\n",
        "tests/faults/test_errors.py -k 'stop and later'",
    ),
    Mutation(
        "a journal is synced before its checkpoint",
        "lib/checkpoints.py",
        "            self.sessions.sync(self.session)\n",
        "",
        "tests/faults/test_power_loss.py -k stop",
    ),
    Mutation(
        "a document is written beside its place",
        DURABLE,
        "    try:\n        write_new(temporary,",
        "    global CREATE\n"
        "    if put is os.replace:\n"
        "        temporary, CREATE = name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC\n"
        "    try:\n        write_new(temporary,",
        "tests/faults/test_kill.py -k save",
    ),
    Mutation(
        "a record begins with a line feed",
        JOURNAL,
        r"""    return b'\n%b,"check":"%b"}\n'""",
        r"""    return b'%b,"check":"%b"}\n'""",
        "tests/test_journal.py tests/test_hooks.py",
    ),
    Mutation(
        "a record is one write in append mode",
        JOURNAL,
        "APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT",
        "APPEND = os.O_WRONLY | os.O_CREAT",
        "tests/faults/test_parallel.py -k all_at_once",
    ),
    Mutation(
        "a short write is a failure",
        JOURNAL,
        "        if written != len(records):\n",
        "        if written < 0:\n",
        "tests/test_hooks.py tests/faults/test_full_disk.py",
    ),
    Mutation(
        "one writer at a time",
        "lib/disk/locks.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        "tests/test_json_store.py tests/faults/test_parallel.py",
    ),
    Mutation(
        "all keys are replaced by way of an intent",
        STORE,
        "            self._write_file(TOP, INTENT, signed(INTENT, intent))\n            self._finish_intent()",
        "            for name, each in documents.items():\n"
        '                self._write_file(KEYS, journal.stem(name) + ".json", each)\n'
        "            for name in set(self._list(KEYS)) - set(documents):\n"
        '                self._delete_file(KEYS, journal.stem(name) + ".json")\n'
        "            self.finish(note)",
        "tests/faults/test_kill.py -k restore",
    ),
    Mutation(
        "an intent that was left is finished by the next writer",
        STORE,
        "            try:\n                self._finish_intent()\n",
        "            try:\n                pass\n",
        "tests/test_json_store.py tests/test_checkpoints.py",
    ),
    Mutation(
        "an intent must be the user's own",
        "lib/stores/document_checks.py",
        'return "was not written by this user" if is_refused(INTENT, document) else ""',
        'return ""',
        f"{HOSTILE}/test_planted.py -k intent",
    ),
    Mutation(
        "what a later version wrote is not replaced",
        "lib/stores/document_checks.py",
        "    if version != journal.VERSION:\n",
        "    if False:\n",
        "tests/test_json_store.py tests/test_state.py",
    ),
    Mutation(
        "a damaged file's bytes are kept",
        "lib/disk/quarantine.py",
        "        os.rename(file, kept, src_dir_fd=folder, dst_dir_fd=folder)\n",
        "        os.unlink(file, dir_fd=folder)\n",
        f"{HOSTILE}/test_damaged.py -k conflict",
    ),
    Mutation(
        "a record counts only with its check value",
        "lib/format/records.py",
        "    if trust == DAMAGED:\n        return DAMAGED, {}\n",
        "    trust = OURS\n",
        "tests/test_records.py",
    ),
    Mutation(
        "a mark must rest on the record that it was made at",
        "lib/session/partial.py",
        'self._last() != self._mark.get("last", "")',
        "False",
        f"{HOSTILE}/test_damaged.py -k survives",
    ),
    Mutation(
        "folders are not reached through symlinks",
        JOURNAL,
        "            return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)\n"
        "        except FileNotFoundError:",
        "            return os.open(name, DIRECTORY, dir_fd=parent)\n"
        "        except FileNotFoundError:",
        f"{HOSTILE}/test_planted.py -k elsewhere",
    ),
    Mutation(
        "files are not reached through symlinks",
        JOURNAL,
        "READ = os.O_RDONLY | os.O_NOFOLLOW |",
        "READ = os.O_RDONLY |",
        f"{HOSTILE} -k 'planted or settings'",
    ),
    Mutation(
        "a file of two names is not written to",
        JOURNAL,
        "(links == 1 or (at_home(directory) if links",
        "(links >= 1 or (at_home(directory) if links",
        "tests/test_hooks.py -k planted_journal",
    ),
    Mutation(
        "a FIFO is not waited for",
        JOURNAL,
        "READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK |",
        "READ = os.O_RDONLY | os.O_NOFOLLOW |",
        f"{HOSTILE}/test_planted.py -k FIFO",
    ),
    Mutation(
        "state of another key does not count",
        "lib/format/records.py",
        "    return OURS if key is None or trusts_all() else FOREIGN\n",
        "    return OURS\n",
        "tests/test_records.py -k another_users_journal",
    ),
    Mutation(
        "where others can write at home the key decides",
        "lib/format/records.py",
        " and not status.st_mode & 0o022",
        "",
        "tests/test_context.py -k where_others_can_write",
    ),
    Mutation(
        "what Claude is told is quoted and in ASCII",
        "lib/telling/quoting.py",
        '    kept = "".join([letter if letter in _PLAIN else _percent(letter) for letter in ends])\n',
        "    kept = ends\n",
        f"{HOSTILE}/test_told.py -k 'quoted_or_not'",
    ),
    Mutation(
        "what a terminal is shown is printable",
        "lib/telling/quoting.py",
        "letter if letter.isprintable() else _percent(letter)",
        "letter",
        f"{HOSTILE}/test_told.py -k command_line_prints",
    ),
    Mutation(
        "secrets are masked",
        JOURNAL,
        "            window = mask(window)\n",
        "            pass\n",
        f"{HOSTILE}/test_told.py -k secret",
    ),
    Mutation(
        "files are private",
        JOURNAL,
        "        descriptor = os.open(file, APPEND, 0o600, dir_fd=sessions)",
        "        descriptor = os.open(file, APPEND, 0o644, dir_fd=sessions)",
        f"{HOSTILE} -k 'd12 or e46'",
    ),
    Mutation(
        "no name leaves the directory",
        JOURNAL,
        "    if is_name(name) and not name.strip(_LOWER):\n        return name\n",
        "    return name\n",
        f"{HOSTILE}/test_fields.py -k traversal",
    ),
    Mutation(
        "a hook never exits with 2",
        JOURNAL,
        "        code = 1\n        _complain",
        "        code = 2\n        _complain",
        f"{HOSTILE}/test_stdin.py",
    ),
    Mutation(
        "the registered command turns a missing script's 2 into 1",
        "settings.example.json",
        "|| exit 1",
        "",
        "tests/test_hook_commands.py",
    ),
    Mutation(
        "a hook gives up by itself",
        JOURNAL,
        "        setitimer(ITIMER_REAL, seconds)\n",
        "",
        f"{HOSTILE}/test_stdin.py -k a23",
    ),
    Mutation(
        "an event is read up to a limit",
        JOURNAL,
        "        if size <= STDIN_LIMIT:\n            data += chunk\n    if size > STDIN_LIMIT:",
        "        data += chunk\n    if False:",
        f"{HOSTILE}/test_stdin.py -k a22",
    ),
    Mutation(
        "a key that was cut short is made anew",
        "lib/recording/first_use.py",
        "            replace(name, os.urandom(KEY_BYTES), folder)\n",
        "            pass\n",
        "tests/test_first_use.py -k cut_short",
    ),
    Mutation(
        "a key that is being made is waited for",
        "lib/recording/first_use.py",
        "            _wait_for(folder, path)\n",
        "",
        "tests/test_first_use.py -k being_made",
    ),
    Mutation(
        "a project's own settings count when its folder is trusted",
        "lib/install/environment.py",
        "    if not is_trusted(project):\n",
        "    if False:\n",
        "tests/test_environment.py",
    ),
    Mutation(
        "a project's settings do not say what is believed",
        "lib/install/environment.py",
        "        if name in _NEVER or",
        "        if",
        "tests/test_environment.py",
    ),
    Mutation(
        "a project's settings put the state in the project only",
        "lib/install/environment.py",
        "not _is_within(value, project)",
        "False",
        "tests/test_environment.py",
    ),
    Mutation(
        "an export replaces no file unless it is told to",
        "lib/commands/transfer.py",
        "        if not force and os.path.lexists(path):\n",
        "        if False:\n",
        f"{TRANSFER} -k is_there",
    ),
    Mutation(
        "what a skill may run unasked takes no option",
        "lib/commands/parser.py",
        'if word[:1] == "-"]',
        'if word == "-"]',
        "tests/test_skills.py",
    ),
    Mutation(
        "an administrator who lets no such hook run is named",
        "lib/install/settings_files.py",
        "            found.only = path\n",
        "            pass\n",
        "tests/test_doctor.py -k administrator",
    ),
    Mutation(
        "a client that keeps no transcript leaves no request",
        JOURNAL,
        "            if not keeps_no_transcript(event.fields, environment):\n",
        "            if True:\n",
        "tests/test_journal.py -k transcript",
    ),
    Mutation(
        "settings that another program changes meanwhile are not replaced",
        "lib/install/settings_change.py",
        "        if read(self.real) != self.before:\n",
        "        if False:\n",
        "tests/test_settings_change.py -k meanwhile_is_not_lost",
    ),
    Mutation(
        "settings keep their mode",
        "lib/install/settings_change.py",
        "        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))\n",
        "",
        "tests/test_install.py -k leaves_the_file_as_it_was",
    ),
    Mutation(
        "settings are replaced as a whole",
        "lib/install/settings_change.py",
        "            replace(self.real, self._write, check=self._check_unchanged)\n",
        "            data = self.after\n"
        "            os.unlink(self.real)\n"
        "            replace(self.real, data)\n",
        "tests/test_settings_change.py -k interrupted_anywhere",
    ),
    Mutation(
        "an install that came too late leaves what the first has kept",
        "lib/install/settings_change.py",
        "            if not self.is_none:\n                self._check_unchanged()\n            former",
        "            former",
        "tests/test_settings_change.py -k too_late",
    ),
    Mutation(
        "a directory that was made for several files goes with the last",
        "lib/install/settings_change.py",
        "[*self.made, *_missing(path), *self._made_above(path)]",
        "[*self.made, *_missing(path)]",
        "tests/test_install.py -k several_files",
    ),
    Mutation(
        "a hook that may be somebody else's is theirs",
        "lib/install/registered.py",
        "bool(_OURS.search(line)) or _bundle(line) in bundles",
        "bool(_OURS.search(line) or _bundle(line))",
        "tests/test_registered.py -k 'ours'",
    ),
    Mutation(
        "a team's copy is never half the old one and half the new",
        "lib/install/bundle_copy.py",
        "        os.rename(fresh, target)\n",
        "        shutil.copytree(fresh, target)\n",
        "tests/test_bundle_copy.py -k whole_or_missing",
    ),
    Mutation(
        "a copy that an earlier version made is known",
        "lib/install/bundle_copy.py",
        '("lib/recording/journal.py", "lib/journal.py")',
        '("lib/recording/journal.py",)',
        "tests/test_bundle_copy.py -k earlier",
    ),
    Mutation(
        "an update of a team's copy loses no file of others",
        "lib/install/bundle_copy.py",
        "    if others:\n",
        "    if False:\n",
        "tests/test_bundle_copy.py -k somebodys_file",
    ),
    Mutation(
        "a team's copy is committed whole, whatever the project ignores",
        "lib/install/bundle_copy.py",
        'IGNORE = b"!*\\n__pycache__/\\n"',
        'IGNORE = b"__pycache__/\\n"',
        "tests/test_bundle_copy.py -k whatever_the_project_ignores",
    ),
    Mutation(
        "only what install makes is cleaned up",
        "lib/disk/cleanup.py",
        '"[0-9a-f]{16}"',
        '".*"',
        "tests/test_bundle_copy.py -k others_made",
    ),
    Mutation(
        "the doctor sees that a plugin has gone",
        "lib/install/doctor/hooks.py",
        'is missing" if missing else ""\n',
        'is missing" if False else ""\n',
        "tests/test_doctor.py -k plugin",
    ),
    Mutation(
        "paths are quoted for the shell",
        "lib/install/hook_commands.py",
        "shlex.quote(bundle), shlex.quote(python)",
        "bundle, python",
        "tests/test_install.py -k anywhere",
    ),
    Mutation(
        "only a state directory is purged",
        "lib/maintenance/purge.py",
        ' or not first_use.begins(f"{directory}/README", first_use.SIGN)',
        "",
        "tests/test_install.py -k purged",
    ),
    Mutation(
        "the doctor runs nothing that a project's files name",
        "lib/install/doctor/python.py",
        '    return bool(name or shim) and not real.startswith(os.path.realpath(project) + "/")\n',
        "    return bool(name or shim)\n",
        "tests/test_doctor.py -k project_names",
    ),
    Mutation(
        "no link to an interpreter is left where others could replace it",
        "lib/install/interpreter.py",
        "        if status.st_uid == os.geteuid() and not status.st_mode & 0o022:\n",
        "        if True:\n",
        "tests/test_interpreter.py -k link",
    ),
    Mutation(
        "an interpreter is not taken from the repository",
        "settings.example.json",
        '[ -x \\"/$p\\" ]',
        '[ -x \\"$p\\" ]',
        "tests/test_interpreter.py -k repository",
    ),
    Mutation(
        "what killed writers left goes",
        DURABLE,
        "            discard(entry, folder)\n",
        "            pass\n",
        "tests/test_retention.py",
    ),
    Mutation(
        "an import takes only names of a state's files",
        ARCHIVE,
        "    if not known or member_of(collection, name) != member:",
        "    if not known:",
        f"{TRANSFER} -k hostile",
    ),
    Mutation(
        "an import takes plain files only",
        ARCHIVE,
        "        if not plain and (",
        "        if False and (",
        f"{TRANSFER} -k 'hostile or header'",
    ),
    Mutation(
        "an import verifies its file before anything is changed",
        IMPORTING,
        'if found.get(name) != {"size"',
        'if False and {"size"',
        f"{TRANSFER} -k 'damaged or manifest'",
    ),
    Mutation(
        "an import reads every document first",
        IMPORTING,
        "        self._check_documents(found)\n",
        "",
        f"{TRANSFER} -k hostile",
    ),
    Mutation(
        "an import asks before it adds",
        "lib/commands/transfer.py",
        "if not (merge or importing.is_part(state, fates)) and",
        "if False and",
        f"{TRANSFER} -k merge",
    ),
    Mutation(
        "an import never writes over what differs",
        IMPORTING,
        '        return SAME if here["value"] == staged["value"] else KEPT\n    # A',
        "        return NEW\n    # A",
        f"{TRANSFER} -k merge",
    ),
    Mutation(
        "an import leaves a running session's journal alone",
        "lib/commands/transfer.py",
        " and is_running(state.sessions, name)",
        " and False",
        f"{TRANSFER} -k running",
    ),
    Mutation(
        "an import that was interrupted needs no --merge to go on",
        IMPORTING,
        "all(fates.get(member) == SAME for member in here)",
        "not here",
        f"{TRANSFER} -k interrupted",
    ),
    Mutation(
        "checkpoints come in before the journals",
        IMPORTING,
        "enumerate(sorted(members), 1)",
        "enumerate(sorted(members, reverse=True), 1)",
        f"{TRANSFER} -k interrupted",
    ),
    Mutation(
        "the next import finishes one of the first version",
        "lib/commands/transfer.py",
        "            pending_import.finish(state)\n",
        "            pass\n",
        "tests/test_pending_import.py",
    ),
    Mutation(
        "an import is pending only under the user's own key",
        "lib/maintenance/pending_import.py",
        'document["members"] if document.trust == records.OURS else None',
        'document["members"]',
        "tests/test_pending_import.py",
    ),
    Mutation(
        "an export appears whole",
        "lib/commands/transfer.py",
        "        durable.replace(path, content, check=check)\n",
        "        counts.update(_write(state, path, progress))\n",
        f"{TRANSFER} -k export_that",
    ),
    Mutation(
        "a prune leaves running sessions alone",
        "lib/commands/prune.py",
        "        if is_running(state.sessions, session):",
        "        if False:",
        "tests/test_prune.py",
    ),
    Mutation(
        "the status line is silent about its failures",
        "lib/terminal/statusline.py",
        "        if by_hand:\n            message",
        "        if True:\n            message",
        "tests/test_statusline.py",
    ),
    Mutation(
        "the status line gives up by itself",
        "lib/terminal/statusline.py",
        "        setitimer(ITIMER_REAL, SECONDS)\n",
        "        setitimer(ITIMER_REAL, 0)\n",
        "tests/test_statusline.py -k never_ends",
    ),
    Mutation(
        "watch leaves the terminal as it was",
        "lib/terminal/watch_screen.py",
        "                termios.tcsetattr(0, termios.TCSANOW, self._modes)\n",
        "                pass\n",
        "tests/test_watch.py -k as_before",
    ),
    Mutation(
        "watch has its keys again after a stop from outside",
        "lib/terminal/watch_screen.py",
        "        if self._modes:\n            self._take_keys()\n",
        "",
        "tests/test_watch.py -k stop_from_outside",
    ),
    Mutation(
        "a command that a signal ends leaves no half file",
        "lib/commands/main.py",
        "            signal(number, _end)\n",
        "            pass\n",
        "tests/report/test_command.py -k ended tests/test_transfer.py",
    ),
    Mutation(
        "an export is not taken for one session's",
        "lib/commands/transfer.py",
        "    if arguments.session:\n",
        "    if False:\n",
        f"{TRANSFER} -k picked",
    ),
    Mutation(
        "watch may be stopped while it draws",
        "lib/terminal/watch_screen.py",
        "data = data[os.write(1, data) :]",
        "sys.stdout.buffer.write(data), sys.stdout.flush()\n                break",
        "tests/test_watch.py -k while_it_draws",
    ),
    Mutation(
        "watch reads only what is new",
        "lib/commands/watch.py",
        "sessions.live(session, before=self._live)",
        "sessions.live(session)",
        "tests/test_watch.py -k grew",
    ),
    Mutation(
        "what a report holds cannot end its element",
        "lib/report/page.py",
        ".translate(_ESCAPES)",
        "",
        "tests/report/test_command.py",
    ),
    Mutation(
        "a report replaces no other file",
        "lib/commands/report.py",
        "os.read(descriptor, len(MARK)) == MARK",
        "True",
        "tests/report/test_command.py",
    ),
    Mutation(
        "a report never goes through a symlink",
        "lib/commands/report.py",
        "dir_fd=folder, follow_symlinks=False)\n    except FileNotFoundError",
        "dir_fd=folder)\n    except FileNotFoundError",
        "tests/report/test_command.py",
    ),
    Mutation(
        "a report is its owner's alone",
        "lib/commands/report.py",
        "        put(name, data, folder)\n",
        "        put(name, data, folder, 0o644)\n",
        "tests/report/test_command.py",
    ),
    Mutation(
        "a report that fails leaves the older one and nothing else",
        DURABLE,
        "    except BaseException:\n        discard(name, folder)\n",
        "    except BaseException:\n        pass\n",
        "tests/report/test_command.py -k full",
    ),
    Mutation(
        "a report of a huge journal stays small",
        "lib/report/session_timeline.py",
        "deque(maxlen=min(room, SESSION_CALLS))",
        "deque()",
        "tests/report/test_gather.py",
    ),
    Mutation(
        "rows in a database are proved when they are looked at",
        "lib/stores/sqlite/rows.py",
        "if trust not in (records.OURS, self.trust):",
        "if False:",
        "tests/test_sqlite_store.py -k TestRows",
    ),
    Mutation(
        "rows that are missing are noticed",
        "lib/stores/sqlite/rows.py",
        "if (count, rows & SUMS) != (self.ref.count, self.ref.rows):",
        "if False:",
        "tests/test_sqlite_store.py -k TestRows",
    ),
    Mutation(
        "of a list two go on from, each has its own rows",
        "lib/stores/sqlite/row_lists.py",
        "if found[0] != old.mark:",
        "if False:",
        "tests/test_sqlite_store.py -k went_on_from_one",
    ),
    Mutation(
        "a database is opened through no link",
        "lib/stores/sqlite/database.py",
        '            if wrong:\n                raise StoreError(f"{self.path}{suffix}',
        '            if False:\n                raise StoreError(f"{self.path}{suffix}',
        "tests/test_sqlite_store.py -k planted",
    ),
    Mutation(
        "no filter runs that a repository inside names",
        "lib/project/git.py",
        '        if any(name.startswith(b"filter.") for name in names):\n',
        "        if False:\n",
        "tests/test_git.py -k program",
    ),
    Mutation(
        "a backup made of hard links stops no recording at home",
        JOURNAL,
        "(at_home(directory) if links else",
        "(False if links else",
        "tests/test_hooks.py -k backup",
    ),
    Mutation(
        "who reads quarantines nothing",
        "lib/stores/json_files.py",
        "self._quarantine_file(collection, file) if self._held else LEFT",
        "self._quarantine_file(collection, file)",
        "tests/test_reading.py -k json",
    ),
    Mutation(
        "who reads salvages no database",
        "lib/stores/sqlite/salvage.py",
        "not (writes or self.database.held)",
        "False",
        "tests/test_reading.py -k sqlite",
    ),
    Mutation(
        "who reads carries no log into a database",
        "lib/stores/sqlite/connection.py",
        "        if not create and _has_content(",
        "        if False and _has_content(",
        "tests/test_reading.py -k 'sqlite and killed'",
    ),
    Mutation(
        "what is no document of this user's is not replaced",
        "lib/stores/json_files.py",
        "        if wrong:\n            raise self._refused(",
        "        if False:\n            raise self._refused(",
        "tests/test_json_store.py -k refused_and_left",
    ),
    Mutation(
        "a database of another shape is quarantined",
        "lib/stores/sqlite/connection.py",
        "            if strange:\n",
        "            if False:\n",
        "tests/test_sqlite_faults.py -k another_shape",
    ),
    Mutation(
        "a database of another program's in our place is quarantined",
        "lib/stores/sqlite/connection.py",
        "        if self.own:  # the name",
        "        if False:  # the name",
        "tests/test_sqlite_faults.py -k another_shape",
    ),
    Mutation(
        "of a database that was quarantined only our own tables are read",
        "lib/stores/sqlite/salvage.py",
        "        if table in ours:",
        "        if True:",
        "tests/test_sqlite_faults.py -k 'another_shape or none_of_its_tables'",
    ),
    Mutation(
        "what is taken over from a damaged database ends in its time",
        "lib/stores/sqlite/salvage.py",
        "if time.monotonic() > deadline.give_up:",
        "if False:",
        "tests/test_sqlite_faults.py -k ends_in_its_time",
    ),
    Mutation(
        "text in a database that is none is damage",
        "lib/stores/sqlite/database.py",
        '"Could not decode", ',
        "",
        "tests/test_sqlite_faults.py -k 'no_text'",
    ),
    Mutation(
        "a value in a database is bounded before it is read",
        "lib/stores/sqlite/store.py",
        "length(data) > ?",
        "length(data) * 0 > ?",
        "tests/test_sqlite_faults.py -k too_big",
    ),
    Mutation(
        "no value of a database is longer than a document",
        "lib/stores/sqlite/connection.py",
        "connection.setlimit(_LIMIT_LENGTH, LENGTH)",
        "pass",
        "tests/test_sqlite_faults.py -k longer_than_a_document",
    ),
    Mutation(
        "names in a database are those that can be given",
        "lib/stores/sqlite/store.py",
        " if isinstance(name, str) and journal.is_name(name)]",
        "]",
        "tests/test_sqlite_faults.py -k nobody_can_give",
    ),
    Mutation(
        "signals reach Python in a long statement of the database",
        "lib/stores/sqlite/connection.py",
        "    deadline.over(connection)\n",
        "",
        "tests/test_sqlite_faults.py -k gives_up_in_the_middle",
    ),
    Mutation(
        "what a signal raises in a statement is not forgotten",
        "lib/stores/sqlite/database.py",
        "        self._database.deadline.reraise()\n",
        "",
        "tests/test_sqlite_faults.py -k TestLongStatements",
    ),
    Mutation(
        "the numbers of a reference are in range",
        "lib/stores/sqlite/rows.py",
        "not 0 <= given[name] <= most",
        "False",
        "tests/test_sqlite_faults.py -k out_of_range",
    ),
    Mutation(
        "a list in a database has a next mark",
        "lib/stores/sqlite/row_lists.py",
        "if type(found[0]) is not int or not 0 <= found[0] < MOST:",
        "if False:",
        "tests/test_sqlite_faults.py -k no_next_one",
    ),
    Mutation(
        "a row in a database has the types of one",
        "lib/stores/sqlite/rows.py",
        "if not (type(name) is type(row) is type(check) is str and type(place) is int):",
        "if False:",
        "tests/test_sqlite_faults.py -k another_type",
    ),
    Mutation(
        "a row of another's is JSON before it is read",
        "lib/stores/sqlite/rows.py",
        "    if trust != records.OURS:\n        try:",
        "    if False:\n        try:",
        "tests/test_sqlite_faults.py -k anothers_that_is_none",
    ),
    Mutation(
        "whose a database is is read as of one moment",
        "lib/stores/sqlite/connection.py",
        '        connection.execute("BEGIN")\n',
        '        connection.execute("SELECT 1")\n',
        "tests/test_sqlite_faults.py -k one_moment",
    ),
    Mutation(
        "nothing is committed to a database that is not there any more",
        "lib/stores/sqlite/database.py",
        "            self.open()\n            with Asking(self):",
        "            with Asking(self):",
        "tests/test_sqlite_faults.py -k TestGone",
    ),
    Mutation(
        "what began in one database does not go on in another",
        "lib/stores/sqlite/database.py",
        "if self._connection and self._connection.in_transaction:",
        "if False:",
        "tests/test_sqlite_faults.py -k TestGone",
    ),
    Mutation(
        "a database whose log was removed is not the same",
        "lib/stores/sqlite/database.py",
        'return found[""] + found.get("-wal", (0, 0)) if "" in found else ()',
        'return found.get("", ())',
        "tests/test_sqlite_faults.py -k TestGone",
    ),
    Mutation(
        "a database in a folder that cannot be written is read",
        "lib/stores/sqlite/connection.py",
        "            connection = self._connect_to_read(folder)\n",
        "            connection = None\n",
        "tests/test_sqlite_faults.py -k read_only_folder",
    ),
    Mutation(
        "a database is not read without what is in its log",
        "lib/stores/sqlite/connection.py",
        'if url is IMMUTABLE and _has_content(folder, os.path.basename(self.path) + "-wal"):',
        "if False:",
        "tests/test_sqlite_faults.py -k TestWhereNothing",
    ),
    Mutation(
        "a start tells the journal where the store cannot be read",
        "lib/session/live.py",
        "        try:\n            return read()\n        except StoreError as error:",
        "        try:\n            return read()\n        except Damaged as error:",
        "tests/test_sqlite_faults.py -k a_start_tells",
    ),
    Mutation(
        "a store that kept a start waiting is not asked again",
        "lib/session/live.py",
        "if isinstance(error, Busy):",
        "if False:",
        "tests/test_sqlite_faults.py -k keeps_it_locked",
    ),
    Mutation(
        "a stop waits longer for its turn",
        "lib/checkpoints.py",
        "with self.store.lock(TURN_SECONDS):",
        "with self.store.lock():",
        "tests/test_sqlite_faults.py -k waits_for_its_turn",
    ),
    Mutation(
        "a server unpacks to no more than a document",
        "lib/stores/redis/document_text.py",
        "reader.decompress(text, SIZE_LIMIT + 1)",
        "reader.decompress(text)",
        "tests/test_redis_store.py -k no_more_than",
    ),
    Mutation(
        "a later state in a server is not replaced",
        "lib/stores/redis/push.py",
        "elseif known ~= before and known > timestamp then",
        "elseif false then",
        "tests/test_redis_store.py -k earlier_one_last",
    ),
    Mutation(
        "what is signed with another key is left to its writer",
        "lib/stores/redis/pull.py",
        "if (is_earlier or split) and theirs and not",
        "if False and not",
        "tests/test_earlier_form.py -k another_key",
    ),
    Mutation(
        "a state of the earlier form is not replaced unseen",
        "lib/stores/redis/push.py",
        "if earlier > before and earlier > known then",
        "if false then",
        "tests/test_earlier_form.py -k have_not_seen",
    ),
    Mutation(
        "an earlier version refuses a server of this one",
        "lib/stores/redis/tracked.py",
        "FORMAT = 2\n",
        "FORMAT = 1\n",
        "tests/test_earlier_form.py -k todays_form",
    ),
    Mutation(
        "what a server lost and gets again stays another machine's",
        "lib/stores/redis/push.py",
        "SET theirs = theirs AND id IS -excluded.id",
        "SET theirs = 0",
        "tests/test_redis_store.py -k sent_again",
    ),
    Mutation(
        "a stop sends what it saved in the background",
        "lib/stores/redis/store.py",
        "from lib.stores.redis.store import push_pending",
        "from lib.stores.redis import push_pending",
        "tests/test_redis_store.py -k in_the_background",
    ),
    Mutation(
        "secrets are masked before they leave the machine",
        "lib/stores/redis/document_text.py",
        "masked = _masked(collection, name, given)",
        "masked = given",
        "tests/test_redis_store.py -k masked",
    ),
    Mutation(
        "one process of a machine exchanges at a time",
        "lib/stores/redis/store.py",
        "lock = self.database.acquire(EXCHANGE, give_up - time.monotonic())",
        "lock = -1",
        "tests/test_redis_store.py -k two_at_once",
    ),
    Mutation(
        "what another machine saved later replaces nothing unkept",
        "lib/stores/redis/pull.py",
        "if not seen:",
        "if False:",
        "tests/test_redis_store.py -k loses",
    ),
    Mutation(
        "an exchange ends in its time",
        "lib/stores/redis/connection.py",
        "thread.join(seconds)",
        "thread.join()",
        "tests/test_redis_store.py -k does_not_resolve",
    ),
    Mutation(
        "an address with a password is written to no file",
        "lib/commands/migrate.py",
        "if chooses and not holds_password(new):",
        "if chooses:",
        "tests/test_migration.py -k password",
    ),
    Mutation(
        "who has seen another's is later whatever the clock says",
        "lib/stores/redis/timestamps.py",
        "if time > before[:TIME]:",
        "if True:",
        "tests/test_redis_store.py -k whatever_the_clock",
    ),
    Mutation(
        "a server that has gone back replaces nothing",
        "lib/stores/redis/pull.py",
        "if timestamp < known:",
        "if False:",
        "tests/test_redis_store.py -k without_the_last_write",
    ),
    Mutation(
        "a removal counts from when it was made",
        "lib/stores/redis/push.py",
        "timestamps.removed(collection, name, at, before)",
        "timestamps.removed(collection, name, journal.now(), before)",
        "tests/test_redis_store.py -k earlier_removal",
    ),
    Mutation(
        "an answer that was lost makes no conflict",
        "lib/stores/redis/pull.py",
        "if here is not None and data is not None and data == ours:",
        "if False:",
        "tests/test_redis_store.py -k answer_that_was_lost",
    ),
    Mutation(
        "a secret that only this machine has is kept",
        "lib/stores/redis/pull.py",
        "elif is_ours and ours and ours != self._with_secrets(collection, name):",
        "elif False:",
        "tests/test_redis_store.py -k secret_that_no_other",
    ),
    Mutation(
        "who has not the key replaces nothing unkept",
        "lib/stores/redis/pull.py",
        "        elif is_ours and not (",
        "        elif False and not (",
        "tests/test_redis_store.py -k has_no_key",
    ),
    Mutation(
        "one's own session comes before one at work elsewhere",
        "lib/session/lineage.py",
        'fitting.sort(key=lambda other: other["was"] == ELSEWHERE)',
        "pass",
        "tests/test_redis_store.py -k ones_own",
    ),
    Mutation(
        "whatever answers at an address, a session starts",
        "lib/stores/redis/connection.py",
        "except Exception as error:  # noqa: BLE001\n            # A session",
        "except ZeroDivisionError as error:\n            # Whatever",
        "tests/test_redis_store.py -k whatever_answers",
    ),
    Mutation(
        "a session's end is sent before its machine may go",
        "lib/events/stop.py",
        "if not is_shared(",
        "if not not is_shared(",
        "tests/test_redis_store.py -k ended_elsewhere",
    ),
    Mutation(
        "damage is no removal",
        "lib/stores/redis/tracked.py",
        "        message = super()._quarantine(collection, name, wrong)\n",
        "        return super()._quarantine(collection, name, wrong)\n",
        "tests/test_redis_store.py -k damaged_here",
    ),
    Mutation(
        "a secret's name redacts all that stands under it",
        "lib/stores/redis/redact.py",
        "if name and _is_label(name):",
        "if name and _is_label(name) and isinstance(value, str):",
        "tests/test_redact.py -k below",
    ),
    Mutation(
        "what follows a label in a list is redacted",
        "lib/stores/redis/redact.py",
        "if in_key or is_named or (before and _follows_label(before, each, shown)):",
        "if False:",
        "tests/test_redact.py -k wherever",
    ),
    Mutation(
        "a name may hold a secret itself",
        "lib/stores/redis/redact.py",
        "shown = name = _text(key)",
        "shown = name = key",
        "tests/test_redact.py -k two_names",
    ),
    Mutation(
        "a text is cut behind no label",
        "lib/stores/redis/redact.py",
        'while end > 0 and _dangles(text[max(start, end - _TAIL) : end], "\\n"):\n'
        "        end = text.rfind",
        "while False:\n        end = text.rfind",
        "tests/test_redact.py -k wherever",
    ),
    Mutation(
        "a long line that holds a secret is redacted",
        "lib/stores/redis/redact.py",
        "            return MASK\n",
        "            pass\n",
        "tests/test_redact.py -k wherever",
    ),
    Mutation(
        "a list that is saved into a session holds no token",
        "lib/checkpoints.py",
        "map(journal.masked_path, paths)",
        "paths",
        "tests/test_state.py -k secret_in_a_saved",
    ),
    Mutation(
        "a phase that is set holds no secret",
        "lib/state.py",
        '"phase": masked_phase(phase), "pinned"',
        '"phase": phase, "pinned"',
        "tests/test_state.py -k secret_in_a_saved",
    ),
    Mutation(
        "a phase that is restored holds no secret",
        "lib/checkpoints.py",
        'restored["phase"] = masked_phase(phase)',
        'restored["phase"] = phase',
        "tests/test_state.py -k secret_in_a_saved",
    ),
    Mutation(
        "a server is told without what may be a password",
        "lib/stores/redis/connection.py",
        """'...' if is_doubtful else place""",
        "place",
        "tests/test_redis_store.py -k told_without",
    ),
    Mutation(
        "a server that stands still is given up soon",
        "lib/stores/redis/connection.py",
        "socket_timeout=min(seconds, SILENCE)",
        "socket_timeout=seconds",
        "tests/test_migration.py -k stands_still",
    ),
    Mutation(
        "what may be a password counts as one",
        "lib/stores/redis/connection.py",
        "not names <= _HARMLESS",
        '"password" in names',
        "tests/test_migration.py -k may_be",
    ),
    Mutation(
        "a project's name holds no token of its address",
        "lib/stores/redis/project_name.py",
        'remote.strip().partition("?")[0]',
        "remote.strip()",
        "tests/test_redis_store.py -k all_forms",
    ),
    Mutation(
        "two names are two projects",
        "lib/stores/redis/project_name.py",
        """letter not in "{} %":""",
        """letter not in "{} ":""",
        "tests/test_redis_store.py -k two_projects",
    ),
    Mutation(
        "what was removed does not come back",
        "lib/maintenance/migration.py",
        "        target.delete(KEYS, name)\n",
        "        pass\n",
        "tests/test_migration.py -k way_back",
    ),
    Mutation(
        "what a migration replaces or removes is kept",
        "lib/maintenance/migration.py",
        "    if replaced or removed:\n",
        "    if False:\n",
        "tests/test_migration.py -k way_back",
    ),
    Mutation(
        "a migration replaces nothing that was saved later",
        "lib/maintenance/migration.py",
        "if there is not None and _is_later(there, document):",
        "if False:",
        "tests/test_migration.py -k saved_later",
    ),
    Mutation(
        "what may only be unreadable removes nothing",
        "lib/maintenance/migration.py",
        'removed = [] if found["left"] else sorted(gone)',
        "removed = sorted(gone)",
        "tests/test_migration.py -k unreadable",
    ),
    Mutation(
        "a migration removes nothing that others share",
        "lib/maintenance/migration.py",
        "names - target.shared_keys()",
        "pass",
        "tests/test_migration.py -k at_a_server",
    ),
    Mutation(
        "a migration removes nothing that others save meanwhile",
        "lib/maintenance/migration.py",
        "        removable = set()\n",
        "        pass\n",
        "tests/test_migration.py -k at_a_server",
    ),
    Mutation(
        "what is forgotten here is sent to nobody",
        "lib/maintenance/migration.py",
        "_make_room(source, target, removable, found, replaces=False)",
        "pass",
        "tests/test_migration.py -k at_a_server",
    ),
    Mutation(
        "a store that lacks something is not chosen",
        "lib/commands/migrate.py",
        "        change = None\n        lines",
        "        change and change.apply()\n        lines",
        "tests/test_migration.py -k not_chosen",
    ),
    Mutation(
        "a server is asked for each document",
        "lib/stores/redis/verify.py",
        "there == timestamp and key in held",
        "there == timestamp",
        "tests/test_migration.py -k 'document_that_is_not_there'",
    ),
)


TITLE = "Each protection, and the test that notices when it is broken"
HEAD = ("| protection, broken | the test that failed |", "|---|---|")


def caught_by(mutation: Mutation) -> str:
    """The first of a mutation's tests that fails; "" when all of them pass."""
    with tempfile.TemporaryDirectory() as place:
        for part in PARTS:
            source, target = ROOT / part, Path(place, part)
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy2(source, target)
        path = Path(place, mutation.file)
        text = path.read_text()
        if mutation.before not in text:
            sys.exit(f"{mutation.file} has no {mutation.before!r} any more: {mutation.what}")
        path.write_text(text.replace(mutation.before, mutation.after))
        command = [sys.executable, "-m", "pytest", "-xq", "-m", "faults or not faults"]
        command += ["-p", "no:cacheprovider", "--tb=no", *_words(mutation.tests)]
        environment = {**os.environ, "FAULTS_REPORT": os.path.join(place, "faults.json")}
        done = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, text=True, check=False
        )
        found = re.search(r"^(?:FAILED|ERROR) tests/(\S+?)(?:\[| |$)", done.stdout, re.MULTILINE)
        if done.returncode not in (0, 1):
            sys.exit(f"{mutation.what}: pytest ended with {done.returncode}\n{done.stdout[-600:]}")
        return found[1] if found and done.returncode == 1 else ""


def table() -> dict[str, str]:
    """What the page says: each protection, and the test that failed when it was broken."""
    return dict(row.strip("| ").split(" | ") for row in published("mutations"))


def _words(arguments: str) -> list[str]:
    return [part.strip("'") for part in re.findall(r"'[^']*'|\S+", arguments)]


def main() -> int:
    """Try each mutation, and put what caught it into the table.

    With words those that have them in their name, with --new those that have no row yet.
    """
    caught = table()
    words = [word for word in sys.argv[1:] if word != "--new"]
    chosen = [each for each in MUTATIONS if all(word in each.what for word in words)]
    if "--new" in sys.argv:
        chosen = [each for each in chosen if each.what not in caught]
    missed = 0
    for mutation in chosen:
        test = caught_by(mutation)
        missed += not test
        caught[mutation.what] = f"`{test}`" if test else "**none**"
        print(f"| {mutation.what} | {caught[mutation.what]} |", flush=True)
        rows = [
            f"| {each.what} | {caught[each.what]} |" for each in MUTATIONS if each.what in caught
        ]
        publish("\n".join([*HEAD, *rows, ""]), "mutations", TITLE, "make mutations")
    print(f"{len(chosen) - missed} of {len(chosen)} were noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
