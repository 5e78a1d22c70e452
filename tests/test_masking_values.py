"""What is masked and what is kept: lists of texts, and the forms that detect-secrets knows."""

from __future__ import annotations

import base64
import importlib
import pkgutil
import random
import re
import string
import warnings
from pathlib import Path

import pytest

from lib.recording import journal
from tests.conftest import absent

FIXTURES = Path(__file__).parent / "fixtures"
HARMLESS = (FIXTURES / "harmless-texts.txt").read_text().splitlines()
SECRET = (FIXTURES / "secret-texts.txt").read_text().splitlines()

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
DRAW = random.Random(7)  # noqa: S311


def drawn(count, letters=ALNUM):
    return "".join(DRAW.choice(letters) for _ in range(count))


MADE = {
    "password": lambda: "Hunter" + drawn(6),
    "random": lambda: drawn(40),
    "random35": lambda: drawn(35),
    "hex": lambda: drawn(32, HEX),
    "hex40": lambda: drawn(40, HEX),
    "hex16": lambda: drawn(16, HEX),
    "slashed": lambda: drawn(38) + "/+",
    "uuid": lambda: "-".join(drawn(count, HEX) for count in (8, 4, 4, 4, 12)),
    "digits": lambda: drawn(6, string.digits),
    "basic": lambda: base64.b64encode(b"ada:" + drawn(12).encode()).decode(),
}


def test_what_looks_like_a_secret_and_is_none_is_kept_byte_for_byte():
    assert len(HARMLESS) >= 200
    assert [text for text in HARMLESS if journal.masked(text, 8192) != text] == []


@pytest.mark.parametrize("template", SECRET)
def test_a_made_up_secret_is_masked(template):
    made = []

    def fill(found):
        made.append(MADE[found[1]]())
        return made[-1]

    text = re.sub(f"@({'|'.join(MADE)})@", fill, template)
    if "printf" not in text:
        text = text.replace("\\n", "\n")
    assert made
    kept = journal.masked(text, 8192)
    secrets = made[:1] if "sha256:" in template else made  # behind it stands a digest
    assert [secret for secret in secrets if secret in kept] == []


# --- the forms that detect-secrets knows --------------------------------------------------------


def _generated(pattern):
    """A text that a pattern matches, its letters drawn evenly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = importlib.import_module("re._parser" if hasattr(re, "_parser") else "sre_parse")
    return _text_of(parser.parse(pattern.pattern, pattern.flags))


def _text_of(tree):
    pieces = []
    for kind, what in tree:
        name = str(kind)
        if name == "LITERAL":
            pieces.append(chr(what))
        elif name == "IN":
            pieces.append(_letter(what))
        elif name == "ANY":
            pieces.append(".")
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, inner = what
            count = DRAW.randint(least, min(most, max(least, 3))) if most > least else least
            if len(list(inner)) == 1 and least < 9 < most and str(inner[0][0]) == "IN":
                count = DRAW.randint(max(least, 8), min(most, 20))
            pieces += [_text_of(inner) for _ in range(count)]
        elif name == "SUBPATTERN":
            pieces.append(_text_of(what[-1]))
        elif name == "BRANCH":
            pieces.append(_text_of(DRAW.choice(what[1])))
        else:
            assert name in ("ASSERT", "ASSERT_NOT", "AT"), name
    return "".join(pieces)


def _letter(choices):
    letters = ""
    for kind, what in choices:
        name = str(kind)
        if name == "LITERAL":
            letters += chr(what)
        elif name == "RANGE":
            letters += "".join(map(chr, range(what[0], what[1] + 1)))
        elif name == "CATEGORY":
            letters += {"DIGIT": string.digits, "SPACE": " ", "WORD": ALNUM}[str(what)[9:]]
        else:
            return DRAW.choice([each for each in ALNUM if each not in _without(choices)])
    return DRAW.choice(letters)


def _without(choices):
    return {chr(what) for kind, what in choices if str(kind) == "LITERAL"}


def _detectors():
    try:
        plugins = importlib.import_module("detect_secrets.plugins")
        base = importlib.import_module("detect_secrets.plugins.base").RegexBasedDetector
    except ImportError:
        absent("detect-secrets (make installs it)")
    for module in pkgutil.iter_modules(plugins.__path__):
        if module.name in ("ip_public", "base", "private_key"):
            continue  # an address is no secret; the headers of keys are below
        found = importlib.import_module(f"detect_secrets.plugins.{module.name}")
        for each in vars(found).values():
            if (
                isinstance(each, type)
                and issubclass(each, base)
                and each.__module__ == found.__name__
            ):
                yield from ((each(), pattern) for pattern in each.denylist)


def test_all_forms_of_tokens_that_detect_secrets_knows_are_masked():
    kept = []
    count = 0
    for detector, pattern in _detectors():
        for _ in range(40):
            form = _generated(pattern)
            text = f"https{form}h" if form.startswith("://") else f"see {form} here"
            recorded = journal.masked(text, 100_000)
            found = detector.analyze_string(text)
            kept += [text for each in found if each and each in recorded and "***" not in each]
            count += 1
    assert count > 1000
    assert kept == []


def test_all_headers_of_keys_that_detect_secrets_knows_are_masked():
    try:
        found = importlib.import_module("detect_secrets.plugins.private_key")
    except ImportError:
        absent("detect-secrets (make installs it)")
    for pattern in found.PrivateKeyDetector.denylist:
        text = f"-----{pattern.pattern}-----\nMIIEpAIBAAKCAQEA"
        assert "MIIE" not in journal.masked(text, 8192)
