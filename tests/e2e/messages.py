"""A mock of the Messages API: it replies as scripted, and keeps what it was asked.

It stands where the model would, so its log is what the model was sent.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Union

Block = dict[str, Any]

CONTEXT = re.compile(r"\[workflow-state: .*?\[end of workflow-state data\]", re.DOTALL)


@dataclass
class Full:
    """A reply after which the context counts as nearly full, so that the client compacts it."""

    blocks: list[Block | str]
    tokens: int


@dataclass
class Refusal:
    """An error in place of a reply, and of all that is asked for afterwards."""

    status: int
    kind: str


Reply = Union[str, Block, list[Union[str, Block]], Full, Refusal]
Turn = Union[Reply, Callable[["Request"], Reply]]
"""A reply, or what makes it when it is asked for: until that returns, the client waits."""


def use(tool: str, **given: object) -> Block:
    """A tool call as part of a reply."""
    return {"type": "tool_use", "name": tool, "input": given}


def bash(command: str, **given: object) -> Block:
    """The model runs a shell command."""
    return use("Bash", command=command, description="as scripted", **given)


@dataclass
class Request:
    """What was asked: the whole body, and when (seconds of the monotonic clock)."""

    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)

    def texts(self) -> list[str]:
        """Every text in the messages, those in results of tools too, in order."""
        return [text for message in self.body["messages"] for text in _texts(message["content"])]

    def told(self) -> list[str]:
        """What workflow-state tells in the whole conversation, each time it does."""
        return [found for text in self.texts() for found in CONTEXT.findall(text)]

    def results(self) -> dict[str, tuple[str, bool]]:
        """The results of tool calls so far, by the call's id: text, and whether it is an error."""
        blocks = [
            block
            for message in self.body["messages"]
            if isinstance(message["content"], list)
            for block in message["content"]
        ]
        return {
            block["tool_use_id"]: (
                "\n".join(_texts(block.get("content") or "")),
                bool(block.get("is_error")),
            )
            for block in blocks
            if block["type"] == "tool_result"
        }

    def prompts(self) -> str:
        """The user's texts in the first and in the last message that has any."""
        said = [
            "\n".join(_texts(message["content"], results=False))
            for message in self.body["messages"]
            if message["role"] == "user"
        ]
        said = [text for text in said if text]
        return "\n".join([*said[:1], *said[-1:]])


def _texts(content: str | list[Block], results: bool = True) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for block in content:
        if block["type"] == "text":
            yield block["text"]
        elif block["type"] == "tool_result" and results:
            yield from _texts(block.get("content") or "")


class Mock:
    """The API on a listening socket. `script` says what is replied; `requests` is the log."""

    def __init__(self, listener: socket.socket) -> None:
        self.requests: list[Request] = []
        self.strays: list[str] = []
        """What was asked that no script or API has an answer to."""
        self._turns: dict[str, list[Turn]] = {}
        self._refusal: Refusal | None = None
        self._numbers = itertools.count(1)
        self._lock = threading.Condition()
        self.port = listener.getsockname()[1]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self), False)
        self._server.socket.close()
        self._server.socket = listener
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def script(self, *turns: Turn, to: str = "") -> None:
        """Add replies, one a request; `to` is for conversations that begin, or now end, with a
        user's message that holds it."""
        with self._lock:
            self._turns.setdefault(to, []).extend(turns)

    def left(self) -> dict[str, int]:
        """How many turns of the script nobody has asked for."""
        return {to: len(turns) for to, turns in self._turns.items() if turns}

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Return once `count` requests have come."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self.requests) >= count, seconds):
                raise TimeoutError(f"{len(self.requests)} requests have come, not {count}")

    def answer(self, body: dict[str, Any]) -> Reply:
        """Log a request, and give the next turn for it."""
        request = Request(body)
        with self._lock:
            self.requests.append(request)
            self._lock.notify_all()
            prompts = request.prompts()
            if self._refusal:
                return self._refusal
            fitting = [to for to, turns in self._turns.items() if turns and to and to in prompts]
            turns = self._turns.get(fitting[0] if fitting else "")
            if not turns:
                self.strays.append(f"a request after the script's end: {prompts[-300:]!r}")
                return "The script has ended."
            turn = turns.pop(0)
            if isinstance(turn, Refusal):
                self._refusal = turn
        return turn(request) if callable(turn) else turn

    def message(self, reply: Reply) -> dict[str, Any]:
        """A reply as the API's message."""
        tokens = reply.tokens if isinstance(reply, Full) else 1000
        parts: Any = reply.blocks if isinstance(reply, Full) else reply
        content = []
        for part in parts if isinstance(parts, list) else [parts]:
            block = {"type": "text", "text": part} if isinstance(part, str) else dict(part)
            if block["type"] == "tool_use":
                block.setdefault("id", f"toolu_{next(self._numbers):024d}")
            content.append(block)
        calls = any(block["type"] == "tool_use" for block in content)
        return {
            "id": f"msg_{next(self._numbers):024d}",
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-5-5",
            "content": content,
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": tokens, "output_tokens": 20},
        }

    def close(self) -> None:
        """Stop serving; a reply that is being waited for is not waited for."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message as the events of its stream."""
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            given = json.dumps(block["input"])
            empty, delta = (
                {**block, "input": {}},
                {"type": "input_json_delta", "partial_json": given},
            )
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _handler(mock: Mock) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            try:
                if path == "/v1/messages":
                    self._reply(json.loads(body))
                elif path == "/v1/messages/count_tokens":
                    self._send(200, {"input_tokens": 1000})
                else:
                    self._unknown()
            except OSError:
                self.close_connection = True  # the client was killed, as some tests do

        def do_GET(self) -> None:
            self._unknown()

        def _unknown(self) -> None:
            mock.strays.append(f"{self.command} {self.path}")
            self._send(404, {"type": "error", "error": {"type": "not_found_error", "message": "-"}})

        def _reply(self, body: dict[str, Any]) -> None:
            reply = mock.answer(body)
            if isinstance(reply, Refusal):
                error = {"type": reply.kind, "message": "as scripted"}
                self._send(reply.status, {"type": "error", "error": error})
                return
            message = mock.message(reply)
            if not body.get("stream"):
                self._send(200, message)
                return
            stream = "".join(
                f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                for event in events(message)
            )
            self._send(200, stream, "text/event-stream")

        def _send(self, status: int, content: Any, kind: str = "application/json") -> None:
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
