"""Secrets of known form never leave in a value, wherever they are; what has none leaves as it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.format.documents import signed
from lib.stores import CHECKPOINTS, KEYS
from lib.stores.redis.document_text import outgoing
from lib.stores.redis.redact import WINDOW, redact

# Put together here, so that nobody's scanner takes them for real ones.
TOKEN = "gh" + "p_16C7e42F292c6912E7710c838347Ae178B4a"
PASSWORD = "hunter2" + "Xq"
BODY = "MIIEpAIBAAKCAQEA7Zx8yT0aB1cD2eF3gH4iJ5kL6mN7o"
PEM = [f"-----BEGIN RSA {'PRIVATE'} KEY-----", *[BODY] * 95, f"-----END RSA {'PRIVATE'} KEY-----"]

PLAIN = st.text("abcdefgh ,.\n", max_size=40)
LONG = st.tuples(PLAIN, st.integers(WINDOW - 90, WINDOW + 90)).map(
    lambda drawn: (("w " if len(drawn[0]) % 2 else "w\n") * WINDOW)[: drawn[1]] + drawn[0]
)
AROUND = st.one_of(PLAIN, LONG)
NAMES = st.sampled_from(
    ["password", "api_token", "DB_PASSWORD", "api key", "Authorization", "apiKey", "x" * 90 + "_pw"]
)
TEXTS = st.sampled_from(
    [
        f"--password {PASSWORD}",
        f"password={PASSWORD}",
        f"password:\n  {PASSWORD}",
        f'secret = "two words {PASSWORD}"',
        f"the passphrase is {PASSWORD}",
        f"Authorization: Bearer {PASSWORD}",
        f"https://me:{PASSWORD}@example.com/x",
        f"mysql -u root -p {PASSWORD}",
        f"curl -u 'me:two words {PASSWORD}' x",
        TOKEN,
        "\n".join(PEM),
    ]
)
WORDS = st.sampled_from(
    [
        ["--password", PASSWORD],
        ["--api-key", PASSWORD],
        ["login", "--token=", PASSWORD],
        ["password", PASSWORD],
        ["password:", PASSWORD],
        ["password:", [PASSWORD]],
        ["curl", "-u", f"me:{PASSWORD}"],
        ["mysql", "-u", "root", "-p", PASSWORD],
        ["Authorization: Bearer", PASSWORD],
        PEM,
    ]
)
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), PLAIN),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("pqr", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


def _below(inner):
    return st.one_of(
        st.tuples(ANY, inner).map(list),
        st.tuples(inner, ANY).map(list),
        st.tuples(st.text("pqr", min_size=1), inner, ANY).map(
            lambda t: {"other": t[2], t[0]: t[1]}
        ),
    )


HELD = st.one_of(
    st.tuples(AROUND, TEXTS, AROUND).map(lambda parts: f"{parts[0]}\n{parts[1]}\n{parts[2]}"),
    st.tuples(LONG, TEXTS, PLAIN).map(lambda parts: f"{parts[0]} {parts[1]} {parts[2]}"),
    st.tuples(st.lists(PLAIN, max_size=3), st.integers(0, 40), WORDS).map(
        lambda parts: [*parts[0], *["w"] * parts[1], *parts[2]]
    ),
    WORDS,
    st.tuples(NAMES, ANY).map(lambda parts: {parts[0]: {"deep": [parts[1], PASSWORD]}}),
    st.tuples(TEXTS, ANY).map(lambda parts: {parts[0]: parts[1]}),
    NAMES.map(lambda name: {"name": name.replace(" ", "_"), "value": PASSWORD}),
)
VALUES = st.recursive(HELD, _below, max_leaves=3)


def _secrets_in(text: str) -> list[str]:
    return [each for each in (TOKEN[8:], PASSWORD, BODY) if each in text]


@given(VALUES)
@example({"password": {"a": [PASSWORD]}})
@example("w " * (WINDOW // 2 - 6) + f"password: {PASSWORD}")
@example("w\n" * (WINDOW // 2 - 6) + f"password:\n{PASSWORD}")
def test_a_secret_of_known_form_never_leaves_wherever_it_is(value):
    assert _secrets_in(json.dumps(value))
    for collection, document in (
        (KEYS, {"value": value, "timestamp": "2026-01-01T00:00:00.000Z"}),
        (CHECKPOINTS, {"created": "2026-01-01", "keys": {"plan": {"value": value}}}),
    ):
        document = signed("plan", document)
        left = outgoing(collection, "plan", document)
        assert not _secrets_in(left.decode())


@given(st.one_of(ANY, AROUND, st.lists(AROUND)))
def test_what_holds_no_secret_leaves_as_it_is(value):
    assert redact(value, "plan") == value


@pytest.mark.parametrize("value", [PASSWORD, 1234, [1234], {"a": {"b": 12.5}}, [[PASSWORD]]])
@pytest.mark.parametrize("name", ["api_token", "password", "x" * 60 + "_secret_" + "y" * 60])
def test_a_name_of_a_secret_redacts_all_below_it(name, value):
    assert redact(value, name) == "***"
    assert redact({"deep": {name: value}}) == {"deep": {name: "***"}}
    document = signed("all", {"created": "2026", "keys": {name: {"value": value}}})
    left = json.loads(outgoing(CHECKPOINTS, "all", document))
    assert left["keys"][name]["value"] == "***"


@pytest.mark.parametrize("value", [None, True, False, "", [], {}])
def test_nothing_is_no_secret(value):
    assert redact(value, "token") is value


def test_two_names_that_differ_in_their_secrets_stay_two():
    value = {TOKEN: 1, TOKEN[:-1]: 2, "*** 2": 3}
    assert redact(value) == {"***": 1, "*** 3": 2, "*** 2": 3}


def test_a_long_text_keeps_what_is_no_secret():
    lines = [f"line {number} of the notes" for number in range(2000)]
    lines[1000] = f"password: {PASSWORD}"
    assert redact("\n".join(lines)).split("\n") == [
        *lines[:1000],
        "password: ***",
        *lines[1001:],
    ]
