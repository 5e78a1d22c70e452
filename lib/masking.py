"""Secrets out of text, before it reaches the disk.

Patterns for the shapes that keys, tokens, passwords, authorization headers and private keys take
in commands and prompts. What is masked in vain is a word less in a log; what is missed is kept
for weeks. So where it is unclear, it is masked. No list is complete, which is one more reason why
contents of files are not recorded at all.
"""

from __future__ import annotations

import re

MASK = "***"

_VALUE = r"""(?:"[^"\n]*"?|'[^'\n]*'?|[^\s"'&;|,<>(){}]+)"""
_SECRET_NAME = (
    r"(?:api[_-]?key|apikey|(?:access|secret|private|account|signing|encryption|master|service|ssh|"
    r"auth|shared|session)[_-]?key|secret|token|pass(?:word|wd|phrase)|passwd|pwd|credentials?|"
    r"cookie|[_-]key|authorization|[_-]auth|[_-]pass|[_-]pw|sig)"
)

TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-(?=[\w-]*\d)[\w-]{20,}"  # OpenAI, Anthropic
    r"|[sr]k_(?:live|test)_\w{8,}"  # Stripe
    r"|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[a-z]-[\w-]{8,}"  # Slack
    r"|A(?:KIA|SIA|ROA|IDA)[A-Z0-9]{12,}"  # AWS key ids
    r"|AIza[\w-]{30,}|ya29\.[\w-]{16,}"  # Google
    r"|eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"  # JSON web tokens
    r"|npm_\w{16,}|pypi-[\w-]{16,}|hf_\w{16,}|dop_v1_\w{16,}|lin_api_\w{16,}|shp\w\w_\w{16,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}"  # SendGrid
    r")"
)

_PATTERNS = (
    # private keys, whole, or to the end of the text when it was cut
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)",
            re.DOTALL,
        ),
        MASK,
    ),
    # scheme://user:password@host and scheme://token@host
    (
        re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)[^\s@'\"]+(?=@)", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/:@'\"]{16,}(?=@)", re.IGNORECASE), rf"\1{MASK}"),
    # Authorization: Basic dXNlcjpwYXNz, "X-Api-Key: ..." is a name with a value, below
    (
        re.compile(
            r"(\bauthorization['\"]?\s*[:=]\s*['\"]?)"
            r"(?:(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)\s+[^'\"\n]+|[^\s'\"]{6,})",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\b(?:set-)?cookie['\"]?\s*:\s*)[^'\"\n]+", re.IGNORECASE), rf"\1{MASK}"),
    # curl -u user:password, and passwords stuck to their flag
    (
        re.compile(
            r"((?:^|\s)(?:-u|--user|--proxy-user|-a|--auth)(?:\s+|=|(?=['\"]))['\"]?[^\s:'\"]+:)[^\s'\"]+"
        ),
        rf"\1{MASK}",
    ),
    (
        re.compile(
            r"(\b(?:mysql\w*|mariadb\w*|mongo\w*|sshpass|(?:docker|podman|helm|az|npm)[\w\s]*\slogin)\b"
            r"[^\n|;&]*?\s-p\s?)" + _VALUE
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(\bredis-cli\b[^\n|;&]*?\s-a\s+)" + _VALUE), rf"\1{MASK}"),
    # --password hunter2, --api-key=..., -H 'X-Token: ...'
    (
        re.compile(rf"(--?[\w-]*{_SECRET_NAME}[\w-]*(?:\s+|=))(?!-){_VALUE}", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    # NAME=value, "name": "value", name: value
    (
        re.compile(
            rf"([\w.-]*{_SECRET_NAME}[\w.-]*[\"']?\]?\s*(?::=|=>|==|=|:)\s*){_VALUE}", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    # in prose: the password is hunter2
    (
        re.compile(
            rf"(\b(?:pass(?:word|wd|phrase|code)|api key|secret|token)\b"
            rf"(?:\s+for\s+\S+)?\s+(?:is|was|=)\s+){_VALUE}",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # query strings
    (
        re.compile(r"([?&](?:key|sig|code|auth|access_token|signature)=)[^&\s'\"]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
)


def mask_tokens(text: str) -> str:
    """`text` with tokens of a known shape masked, and nothing else: for paths."""
    return TOKENS.sub(MASK, text)


def mask(text: str) -> str:
    """`text` with everything masked that may be a secret."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return mask_tokens(text)
