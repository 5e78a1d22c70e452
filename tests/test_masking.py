"""Secrets never reach the disk, and text without secrets stays readable."""

from __future__ import annotations

import re

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lib.recording import journal
from lib.recording.masking import patterns, words

# Put together here, so that nobody's scanner takes them for real ones.
AWS_ID = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
GITHUB = "p_" + "16C7e42F292c6912E7710c838347Ae178B4a"
STRIPE = "k_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
OPENAI = "sk-" + "proj-Zx8yT0aB1cD2eF3gH4iJ5kL6mN7o"
ANTHROPIC = "sk-" + "ant-api03-Zx8yT0aB1cD2eF3gH4iJ-5kL6mN7oAA"
GOOGLE = "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
BASIC = "dXNlcjpo" + "dW50ZXIyLWxvbmc="
PEM_BODY = "MIIEpAIBAAKCAQEA" + "7Zx8yT0aB1cD2eF3gH4iJ5kL6mN7o"
PW = "hunter2" + "Xq"

SECRETS = {
    "an AWS key id": (f"aws configure set aws_access_key_id {AWS_ID}", AWS_ID),
    "an AWS key id in prose": (f"my id {AWS_ID} does not work", AWS_ID),
    "an AWS secret in a variable": (f"AWS_SECRET_ACCESS_KEY={AWS_SECRET} aws s3 ls", AWS_SECRET),
    "an AWS secret set by name": (
        f"aws configure set aws_secret_access_key {AWS_SECRET}",
        AWS_SECRET,
    ),
    "a GitHub token": (f"gh auth login --with-token <<< gh{GITHUB}", GITHUB),
    "a GitHub app's token": (f"use ghs_{GITHUB} for it", GITHUB),
    "a GitHub user's token": (f"use ghu_{GITHUB} for it", GITHUB),
    "a GitHub refresh token": (f"use ghr_{GITHUB} for it", GITHUB),
    "a fine-grained GitHub token": (f"curl -H x: github_pat_11A{GITHUB}", GITHUB),
    "a GitLab token": ("git push to glpat-" + GITHUB, GITHUB),
    "a Slack token": ("post with xoxb-" + "2314-5678-AbCdEfGhIj", "AbCdEfGhIj"),
    "a Stripe key": (f"stripe listen s{STRIPE}", STRIPE),
    "a restricted Stripe key": (f"use r{STRIPE}", STRIPE),
    "an OpenAI key": (f"it says {OPENAI} is wrong", OPENAI),
    "an Anthropic key": (f"it says {ANTHROPIC} is wrong", ANTHROPIC),
    "a Google key": (f"maps/api/js with {GOOGLE}", GOOGLE),
    "a JSON web token": (f"decode {JWT} for me", JWT),
    "an npm token": ("npm set npm_" + GITHUB, GITHUB),
    "an npm token in a registry's setting": (
        f"npm config set //registry.npmjs.org/:_authToken={PW}",
        PW,
    ),
    "a password in a URL": (f"psql postgres://me:{PW}@db.example.com/app", PW),
    "a password in a URL without a user": (f"redis-cli ping redis://:{PW}@cache:6379", PW),
    "a password with an @ in a URL": (f"psql postgres://me:p@ss{PW}@db/app", PW),
    "a password with a slash in a URL": (f"psql postgres://me:p/{PW}@db/app", PW),
    "a token in a URL": (f"git clone https://0123456789{PW}@example.com/x.git", PW),
    "a bearer token in double quotes": (f'curl -H "Authorization: Bearer {PW}"', PW),
    "a bearer token in single quotes": (f"curl -H 'Authorization: Bearer {PW}'", PW),
    "a bearer token in a word of its own": (f"curl -H Authorization:\\ Bearer\\ {PW}", PW),
    "a bearer token in lower case": (f"curl -H 'authorization: bearer {PW}'", PW),
    "a bearer token in code": (f'headers = {{"Authorization": "Bearer {PW}"}}', PW),
    "basic authorization in double quotes": (f'curl -H "Authorization: Basic {BASIC}"', BASIC),
    "basic authorization in single quotes": (f"curl -H 'Authorization: Basic {BASIC}'", BASIC),
    "authorization of the proxy": (f"curl -H 'Proxy-Authorization: Basic {BASIC}'", BASIC),
    "an API key's header": (f"curl -H 'x-api-key: {PW}' localhost", PW),
    "an API key's header in double quotes": (f'curl -H "X-API-Key: {PW}" localhost', PW),
    "a token's header": (f"curl -H 'PRIVATE-TOKEN: {PW}' localhost", PW),
    "a cookie": (f"curl -H 'Cookie: theme=dark; session={PW}' localhost", PW),
    "a cookie given to curl": (f"curl --cookie 'session={PW}' localhost", PW),
    "a flag and its value": (f"tool --password {PW} --verbose", PW),
    "a flag with an equals sign": (f"tool --password={PW}", PW),
    "a flag with a quoted value": (f"tool --password 'correct {PW} staple'", PW),
    "an API key's flag": (f"tool --api-key {PW}", PW),
    "a token's flag": (f"tool --auth-token={PW}", PW),
    "user and password": (f"curl -u me:{PW} localhost", PW),
    "user and password in quotes": (f"curl --user 'me:{PW}' localhost", PW),
    "user and password with a space": (f"curl -u 'me:correct {PW}' localhost", PW),
    "user and password stuck to the flag": (f"curl -ume:{PW} localhost", PW),
    "user and password of another tool": (f"xh -u me:{PW} localhost", PW),
    "a password stuck to its flag": (f"mysql -u root -p{PW} app", PW),
    "a password stuck to its flag in a dump": (f"mysqldump -uroot -p{PW} app > x.sql", PW),
    "a password for sshpass": (f"sshpass -p {PW} ssh me@host", PW),
    "a password for sshpass in quotes": (f"sshpass -p '{PW}' ssh me@host", PW),
    "a password for docker": (f"docker login -u me -p {PW} registry.example.com", PW),
    "a password for docker's registry first": (f"docker login r.example.com -u me -p {PW}", PW),
    "a password for redis-cli": (f"redis-cli -h cache -a {PW} ping", PW),
    "a token in a variable": (f"CI_JOB_TOKEN={PW} make", PW),
    "a token exported in quotes": (f'export MY_TOKEN="{PW} more"', PW),
    "a password in a short variable": (f"DB_PASS={PW} ./run.sh", PW),
    "a password in a variable of two letters": (f"DB_PW={PW} ./run.sh", PW),
    "a password in libpq's variable": (f"PGPASSWORD={PW} psql", PW),
    "a password given to a container": (f"docker run -e POSTGRES_PASSWORD={PW} pg", PW),
    "a password in a Kubernetes secret": (
        f"kubectl create secret generic x --from-literal=password={PW}",
        PW,
    ),
    "JSON": (f'curl -d \'{{"password": "{PW}"}}\' localhost', PW),
    "JSON without spaces": (f'curl -d \'{{"user":"me","password":"{PW}"}}\' localhost', PW),
    "JSON escaped for the shell": (f'curl -d "{{\\"password\\": \\"{PW}\\"}}" localhost', PW),
    "JSON of an API key": (f'{{"apiKey": "{PW}"}}', PW),
    "YAML": (f"db:\n  user: me\n  password: {PW}\n", PW),
    "Python": (f"os.environ['API_TOKEN'] = '{PW}'", PW),
    "prose with is": (f"my password is {PW}, please log in", PW),
    "prose about a service": (f"the password for staging is {PW}", PW),
    "prose with a colon": (f"Use this API key: {PW}", PW),
    "prose about a passphrase": (f"the passphrase is {PW}", PW),
    "a private key": (
        f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----",
        PEM_BODY,
    ),
    "a private key of ssh in a command": (
        f'echo "-----BEGIN OPENSSH PRIVATE KEY-----\n{PEM_BODY}\n" > id',
        PEM_BODY,
    ),
    "a private key on one line": (
        f"KEY='-----BEGIN PRIVATE KEY-----\\n{PEM_BODY}\\n-----END PRIVATE KEY-----'",
        PEM_BODY,
    ),
    "a private key that was cut": (f"-----BEGIN EC PRIVATE KEY-----\n{PEM_BODY}", PEM_BODY),
    "a PGP private key": (f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{PEM_BODY}", PEM_BODY),
    "a signature in a query": (f"curl 'https://x.example.com/b?sv=1&sig={PW}'", PW),
    "a key in a query": (f"fetch https://maps.example.com/?key={PW}&q=1", PW),
    "a token in a query": (f"fetch https://x.example.com/?access_token={PW}", PW),
    "an AWS signature in a query": (f"fetch https://s3.example.com/?X-Amz-Signature={PW}", PW),
}

HARMLESS = {
    "a commit": 'git commit -m "Add the login page"',
    "a push": "git push origin feature/token-refresh",
    "a branch of two words": "git checkout -b fix-token-refresh origin/main",
    "an author": "git log --author=jane --oneline",
    "a diff": "git diff HEAD~1 -- src/auth/tokens.py",
    "a commit's hash": "git show 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "a clone over ssh": "git clone git@github.com:org/auth-service.git",
    "a clone over https": "git clone https://github.com/org/secret-santa.git",
    "a test by name": "pytest -k token_test tests/auth -q",
    "a test by path": "pytest tests/test_password_reset.py::test_expired_token",
    "a path": "src/auth/login.py and src/keys/index.ts",
    "a listing": "ls -la secrets/ .github/workflows",
    "a search": "grep -rn 'api_key' src/",
    "a secret's name": "kubectl get secret my-app -o yaml",
    "a question about tokens": "Why do tokens expire so early? See src/token.py",
    "a request about passwords": "Let users reset their password by mail",
    "a server": "curl http://localhost:8080/health",
    "an e-mail address": "Write to jane@example.com about the login",
    "a process's number": "kill -9 $(pgrep -f 'node server.js')",
    "a long path": "cat /home/dev/project/" + "packages/core/src/" * 12 + "keyboard.ts",
    "a digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 token",
    "a table of tasks": "task-1234567890 risk-0987654321 is about the login key",
}


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_a_secret_is_masked(text, secret):
    assert secret not in patterns.mask(text)


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_a_secret_is_masked_where_events_are_recorded(text, secret):
    assert secret not in journal.masked(f"First words. {text}", 8192)


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_a_secret_is_not_on_disk_after_the_hooks(hooks, text, secret):
    about = {"session_id": "s1", "cwd": str(hooks.project), "tool_name": "Bash"}
    given = {"command": text, "description": text}
    hooks.send({**about, "hook_event_name": "PreToolUse", "tool_input": given})
    failed = {**about, "hook_event_name": "PostToolUseFailure", "tool_input": {"url": text}}
    hooks.send({**failed, "error": text.replace("\n", " ")})
    hooks.prompt("s1", text)
    kept = (hooks.directory / "sessions" / "s1.jsonl").read_text()
    assert secret not in kept
    assert kept.count(patterns.MASK) >= 5


def test_a_token_in_a_file_name_is_masked(hooks):
    hooks.call("s1", "Write", "t1", {"file_path": f"notes/gh{GITHUB}.txt"})
    kept = (hooks.directory / "sessions" / "s1.jsonl").read_text()
    assert GITHUB not in kept
    assert '"path":"notes/***.txt"' in kept


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_harmless_text_stays_as_it_is(text):
    assert patterns.mask(text) == text


def test_harmless_text_is_recorded_as_it_is(hooks):
    for text in HARMLESS.values():
        hooks.prompt("s1", text)
    lines = (hooks.directory / "sessions" / "s1.jsonl").read_text().split("\n")
    kept = [journal.parse(line)["text"] for line in lines if line]
    assert kept == [text[:300] for text in HARMLESS.values()]


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_harmless_text_does_not_load_the_patterns(text):
    assert not words.may_hold_secret(text)


FRAGMENTS = st.sampled_from(
    [
        *words._NAMES,
        *(word for pair in words.COMMANDS for word in pair),
        *(prefix for prefix, *_ in words.TOKENS + words.LOOSE),
        *"api session API Token --user -u -p -a redis-cli :// @ is was for bearer Basic".split(),
        *"-----BEGIN PRIVATE KEY----- abcdefgh1234567890abcdefgh1234567890".split(),
        *list(" \n-_.:=>?&'\"\\]x1\u00e9"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=12).map("".join))
def test_whatever_would_be_masked_may_hold_a_secret(text):
    assert words.may_hold_secret(text) or patterns.mask(text) == text
    assert words.may_hold_token(text) or patterns.mask_tokens(text) == text


# What a pattern makes up is short enough to be read as it is.
QUICK = settings(
    max_examples=10, deadline=None, database=None, derandomize=True, phases=[Phase.generate]
)
PATTERNS = [re.compile(rule, re.IGNORECASE | re.DOTALL) for *_, rule in patterns.RULES]


@pytest.mark.parametrize("pattern", [*PATTERNS, patterns.TOKENS], ids=lambda _: "rule")
def test_whatever_a_pattern_finds_has_a_sign_that_loads_the_patterns(pattern):
    # The hot path looks for signs first; a secret without one would never meet its pattern.
    # Two letters outside ASCII count as s and k when case is ignored: nobody's keys are in them.
    alphabet = st.characters(min_codepoint=9, max_codepoint=126, exclude_categories=())

    @QUICK
    @given(st.from_regex(pattern, alphabet=alphabet))
    def finds(text):
        if patterns.mask(text) != text:
            assert journal.masked(text, 100_000) != text

    finds()


@QUICK
@given(st.from_regex(patterns.TOKENS, fullmatch=True, alphabet=st.characters(codec="ascii")))
def test_whatever_token_a_path_holds_has_a_sign_that_loads_the_patterns(token):
    name = token.replace("/", "")
    path = f"/p/{name}"
    if patterns.mask_tokens(name) != name:
        assert journal.locate(path, "/p", "/p") != name


CUTS = {
    "a word": ("ghp_" + "Q7" * 20, " "),
    "a word after tabs only": ("ghp_" + "Q7" * 20, "\t"),
    "a flag's value": ("--password " + "Q7" * 20, " "),
    "a header": ("Authorization: Bearer " + "Q7" * 20, " "),
    "a quoted sentence": ('"password": "' + "Q7Q7Q7 Q7Q7Q7 " * 4 + '"', " "),
    "a cookie of many parts": ("'Cookie: " + "a=Q7Q7Q7; b=Q7Q7Q7; " * 4 + "'", " "),
    "a private key": ("-----BEGIN PRIVATE KEY-----\n" + "Q7Q7Q7Q7\n" * 8, "\n"),
}


@pytest.mark.parametrize("end", [300, 1000, 8192])
@pytest.mark.parametrize(("secret", "space"), CUTS.values(), ids=CUTS)
def test_no_half_of_a_secret_is_left_where_text_is_cut(secret, space, end):
    # What is masked early makes room, so that the text's end at 8,192 comes into the record.
    early = "-----BEGIN RSA PRIVATE KEY-----" + "A" * (end - 300) + "-----END RSA PRIVATE KEY-----"
    head = early if end > 1000 else ""
    for back in range(end % 3, len(secret) + 4, 3):  # the three ends have all of them
        filling = (f"x{space}" * end)[: end - len(head) - back - 1]
        text = f"{head}{filling}{space}{secret}{space}and what follows {space}" + "y " * 500
        assert len(f"{head}{filling}{space}") == end - back
        for limit in (300, 2000):
            assert "Q7Q7" not in journal.masked(text, limit), f"{back} before {end}"


@pytest.mark.parametrize("back", [0, 3, 8, 20])
def test_no_half_of_a_secret_is_on_disk_where_a_prompt_is_cut(hooks, back):
    for end in (300, 8192):
        text = "x " * (end // 2 - back) + "ghp_" + "Q7" * 20 + " y" * 100
        hooks.prompt("s1", text[back % 2 :])
    assert "Q7Q7" not in (hooks.directory / "sessions" / "s1.jsonl").read_text()


LONG_WORDS = {
    "an image's data": "token data:image/png;base64," + "iVBORw0KGgo" * 740,
    "a digest that never ends": "key " + "deadbeef" * 1020,
    "underscores": "key " + "a_" * 4000,
    "dashes": "a token " + "-" * 8100,
    "a name with many dots": "://" + "a." * 4000,
    "a token that never ends": "sk-" + "a-" * 4000,
}


@pytest.mark.parametrize("text", LONG_WORDS.values(), ids=LONG_WORDS)
def test_an_event_with_one_long_word_is_recorded(hooks, text):
    # The scripts give up after five seconds; a pattern that tries every start of a word needs more.
    hooks.prompt("s1", text)
    assert (hooks.directory / "sessions" / "s1.jsonl").read_text().count('"check"') == 1


def test_masking_twice_changes_nothing_more():
    for text, _ in SECRETS.values():
        once = patterns.mask(text)
        assert patterns.mask(once) == once


def test_what_is_masked_keeps_the_command_around_it():
    masked = patterns.mask(f"curl -u me:{PW} -H 'X-Api-Key: {PW}' https://me:{PW}@x.example.com/a")
    assert masked == "curl -u me:*** -H 'X-Api-Key: ***' https://me:***@x.example.com/a"
    assert not re.search(re.escape(PW), masked)
