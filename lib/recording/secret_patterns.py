"""Secrets out of text, before it reaches the disk.

Patterns for the shapes that keys, tokens, passwords, authorization headers and private keys take
in commands and prompts. What is masked in vain is a word less in a log; what is missed is kept
for weeks. So where it is unclear, it is masked. No list is complete, which is one more reason why
contents of files are not recorded at all.
"""

from __future__ import annotations

import re

MASK = "***"

_VALUE = r"""(?:\\+"[^"\n]*"?|"[^"\n]*"?|'[^'\n]*'?|[^\s"'&;|,<>(){}\\]+)"""
_SECRET_NAME = (
    r"(?:api[ _-]?key|(?:access|secret|private|account|signing|encryption|master|service|ssh|auth|"
    r"shared|session)[_-]?key|secret|token|pass(?:word|wd|phrase|code)|pwd|credentials?|cookie|"
    r"[_-]key|authorization|[_-]auth(?![a-z])|[_-]pass(?![a-z])|[_-]pw(?![a-z])|\bsig(?![a-z]))"
)
# Words are bounded: a pattern that tries every start of a word of thousands of letters takes
# seconds, and the user would wait for them.
_NAME = rf"[\w.-]{{0,40}}{_SECRET_NAME}[\w.-]{{0,40}}"

TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-(?=[\w-]{0,60}\d)[\w-]{20,}"  # OpenAI, Anthropic
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

_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), rf"\g<1>{MASK}")
    for pattern in (
        # private keys, whole, or to the end of the text when it was cut
        r"(-----BEGIN )[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r".*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)",
        # scheme://user:password@host and scheme://token@host
        r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@'\"]{0,100}:)[^\s'\"]+(?=@)",
        r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/:@'\"]{16,}(?=@)",
        # Authorization: Basic dXNlcjpwYXNz; Bearer alone; cookies
        r"(\bauthorization[\\'\"]{0,2}\s*[:=][\\\s'\"]{0,4})"
        r"(?:(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)[\\\s]+[^'\"\n]+"
        r"|[^\s'\"]{6,})",
        r"(\b(?:bearer|basic)[\\\s]+)[\w.~+/=-]{8,}",
        r"(\b(?:set-)?cookie[\\'\"]{0,2}\s*:\s*)[^'\"\n]+",
        # -u user:password, and passwords stuck to their flag
        r"((?:^|\s)(?:-u\s*=?|--(?:proxy-)?user(?:\s+|=))"
        r"(?:'(?=[^'\n]*')|\"(?=[^\"\n]*\"))[^\s:'\"]+:)[^'\"\n]+",
        r"((?:^|\s)(?:-u\s*=?|--(?:proxy-)?user(?:\s+|=))['\"]?[^\s:'\"]+:)[^\s'\"]+",
        r"(\b(?:mysql|mariadb|mongo|sshpass|(?:docker|podman|helm|az|npm)\b[\w\s]{0,40}\blogin)"
        rf"\w{{0,20}}\b[^\n|;&]{{0,200}}?\s-p\s?){_VALUE}",
        rf"(\bredis-cli\b[^\n|;&]{{0,200}}?\s-a\s+){_VALUE}",
        # --password hunter2, --api-key=..., and a secret after its name alone
        rf"((?:^|\s)--?{_NAME}(?:\s+|=))(?!-){_VALUE}",
        r"(\b\w{0,40}(?:secret|access)_(?:access_)?key\s+)[\w/+=-]{16,}",
        # NAME=value, "name": "value", name: value
        rf"({_NAME}(?:\\*[\"'])?\]?\s*(?::=|=>|==|=|(?<!:):(?!:))\s*){_VALUE}",
        # in prose: the password is hunter2
        r"(\b(?:pass(?:word|wd|phrase|code)|api key|secret|token)\b"
        rf"(?:\s+for\s+\S{{1,60}})?\s+(?:is|was)\s+){_VALUE}",
        # query strings
        r"([?&][\w-]{0,30}(?:key|sig|code|auth|token|signature)=)[^&\s'\"]+",
    )
)


_SECRET = re.compile(_SECRET_NAME, re.IGNORECASE)


def names_secret(name: str) -> bool:
    """Whether what stands under a name is a secret by its name."""
    return bool(_SECRET.search(name))


def mask_private_keys(text: str) -> str:
    """`text` with private keys masked, and nothing else; its time grows with its length only."""
    pattern, replacement = _PATTERNS[0]
    return pattern.sub(replacement, text)


def mask_tokens(text: str) -> str:
    """`text` with tokens of a known shape masked, and nothing else: for paths."""
    return TOKENS.sub(MASK, text)


def mask(text: str) -> str:
    """`text` with everything masked that may be a secret."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return mask_tokens(text)
