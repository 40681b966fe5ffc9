"""The wire of servers that call themselves OpenAI-compatible: what each refuses, and the bytes that it answers with.

The shapes are those of public bug reports and of the servers' documents. Each server answers `ANSWER`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ANSWER = "    Rain, and more rain.\nSo be it."
Body = dict[str, Any]
Refusal = tuple[int, Any]
"""A status and the JSON of its body."""


def sse(*events: Any, end: bool = True) -> bytes:
    """A stream of server-sent events; an event that is text is sent as it is."""
    lines = [event if isinstance(event, str) else f"data: {json.dumps(event)}" for event in events]
    return "".join(f"{line}\n\n" for line in [*lines, *(["data: [DONE]"] if end else [])]).encode()


def delta(content: Any = None, finish: str | None = None, **more: Any) -> Body:
    """A chunk of Chat Completions."""
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}],
    }


def usage(tokens_in: int = 9, tokens_out: int = 8) -> Body:
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }


def message(content: Any, finish: str | None = "stop", **more: Any) -> Body:
    """A whole answer of Chat Completions."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **more},
        "finish_reason": finish,
    }
    return {"object": "chat.completion", "model": "m", "choices": [choice], "usage": usage()}


def response(text: str, **more: Any) -> Body:
    """A whole answer of the Responses API."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "object": "response",
        "status": "completed",
        "model": "m",
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": content},
        ],
        "usage": {"input_tokens": 9, "output_tokens": 8},
        **more,
    }


def openai_error(message: str, param: str | None, code: str | None = "unsupported_parameter") -> Body:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def validation_error(*fields: str) -> Body:
    """What FastAPI answers about fields that its model forbids."""
    return {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", one],
                "msg": "Extra inputs are not permitted",
                "input": 1,
            }
            for one in fields
        ]
    }


@dataclass(frozen=True)
class Shape:
    """One server."""

    refuses: Callable[[Body], Refusal | None] = lambda _body: None
    answers: bytes = sse(delta(ANSWER), delta(finish="stop"), {"choices": [], "usage": usage()})
    content_type: str = "text/event-stream"
    api: str = "chat"
    text: str = ANSWER
    """The answer in it."""
    whole: bytes | None = None
    """What it answers with if no stream was asked for."""
    requests: int = 1
    """How many requests it takes until it answers."""
    last: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request that it answers."""
    lacks: tuple[str, ...] = ()
    """Fields that the request must not have in the end."""


def without(status: int, body: Any, *fields: str) -> Callable[[Body], Refusal | None]:
    """A server that refuses any of these fields with the same body."""
    return lambda request: (status, body) if any(name in request for name in fields) else None


def _openai_reasoning(request: Body) -> Refusal | None:
    for name, why in (
        ("max_tokens", "Use 'max_completion_tokens' instead."),
        ("stop", ""),
        ("temperature", "Only the default (1) value is supported."),
    ):
        if name in request:
            return 400, openai_error(
                f"Unsupported parameter: '{name}' is not supported with this model. {why}", name
            )
    return None


def _unverified(request: Body) -> Refusal | None:
    told = "Your organization must be verified to stream this model. Please go to the settings."
    return (400, openai_error(told, "stream", "unsupported_value")) if request.get("stream") else None


def _no_json_schema(request: Body) -> Refusal | None:
    kind = request.get("response_format", {}).get("type")
    told = "This response_format type is unavailable now"
    return (400, openai_error(told, None, "invalid_request_error")) if kind == "json_schema" else None


def _too_many_tokens(request: Body) -> Refusal | None:
    told = "max_tokens is too large: {}. This model supports at most 100 completion tokens, whereas you provided {}."
    asked = request.get("max_tokens", 0)
    return (
        (400, openai_error(told.format(asked, asked), "max_tokens", "invalid_value")) if asked > 100 else None
    )


TEXT = [ANSWER[:9], ANSWER[9:]]
SHAPES: dict[str, Shape] = {
    "OpenAI, reasoning model": Shape(
        _openai_reasoning,
        sse(*map(delta, TEXT), delta(finish="stop"), {"choices": [], "usage": usage()}),
        requests=4,
        last={"max_completion_tokens": 512},
        lacks=("max_tokens", "stop", "temperature"),
    ),
    "OpenAI, organization not verified": Shape(
        _unverified, whole=json.dumps(message(ANSWER)).encode(), requests=2, last={"stream": False}, lacks=("stream_options",)
    ),
    "OpenAI, Responses": Shape(
        answers=sse(
            {"type": "response.created", "response": {"status": "in_progress"}},
            {"type": "response.output_text.delta", "delta": TEXT[0]},
            {"type": "response.output_text.delta", "delta": TEXT[1]},
            {"type": "response.completed", "response": response(ANSWER)},
            end=False,
        ),
        api="responses",
        last={"store": False},
    ),
    "Responses, text only at the end": Shape(
        answers=sse({"type": "response.completed", "response": response(ANSWER)}, end=False), api="responses"
    ),
    "Responses, lost deltas": Shape(
        answers=sse(
            {"type": "response.output_text.delta", "delta": TEXT[0]},
            {"type": "response.completed", "response": response(ANSWER)},
        ),
        api="responses",
    ),
    "Responses, sent whole": Shape(
        answers=json.dumps(response(ANSWER)).encode(), content_type="application/json", api="responses"
    ),
    "Azure v1": Shape(
        without(
            400,
            openai_error("Unsupported parameter: 'max_tokens' is not supported with this model.", None),
            "max_tokens",
        ),
        sse(
            {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
            *map(delta, TEXT),
            delta(finish="stop", content_filter_results={}),
            {"choices": [], "usage": usage()},
        ),
        requests=2,
        last={"max_completion_tokens": 512},
    ),
    "Azure on your data": Shape(
        without(400, {"error": {"code": "BadRequest", "message": "Validation error at #/stream_options: Extra inputs are not permitted"}}, "stream_options"),
        sse(*map(delta, TEXT), delta(finish="stop")),
        requests=2,
        lacks=("stream_options",),
    ),
    "OpenRouter": Shape(
        answers=sse(
            ": OPENROUTER PROCESSING",
            *map(delta, TEXT),
            delta(finish="stop", annotations=[{"type": "file", "file": {"hash": "x"}}]),
            {"choices": None, "usage": usage()},
        )
    ),
    "Groq": Shape(
        answers=sse(
            delta("", role="assistant"),
            *map(delta, TEXT),
            {**delta(finish="stop"), "x_groq": {"id": "req", "usage": usage()}},
        )
    ),
    "DeepSeek": Shape(
        _no_json_schema,
        sse(
            ": keep-alive",
            delta(None, reasoning_content="It rains."),
            *map(delta, TEXT),
            {**delta("", "stop"), "usage": usage()},
        ),
    ),
    "Mistral, thinking in parts": Shape(
        without(422, validation_error("stream_options"), "stream_options"),
        sse(
            delta([{"type": "thinking", "thinking": [{"type": "text", "text": "It rains."}]}]),
            delta([{"type": "text", "text": TEXT[0]}]),
            delta(TEXT[1]),
            {**delta("", "stop"), "usage": usage()},
        ),
        requests=2,
        lacks=("stream_options",),
    ),
    "Gemini, compatible API": Shape(
        answers=sse(delta(TEXT[0]), {**delta(TEXT[1], "STOP"), "usage": usage()}),
    ),
    "Gemini, an error in a list": Shape(
        without(400, [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "stream_options": Cannot find field.', "status": "INVALID_ARGUMENT"}}], "stream_options"),
        requests=2,
        lacks=("stream_options",),
    ),
    "a gateway that passes a refusal on as its own fault": Shape(
        without(500, {"detail": "Error code: 400 - {'error': {'message': \"Unsupported parameter: 'temperature' is not supported with this model.\", 'param': 'temperature'}}"}, "temperature"),
        requests=2,
        lacks=("temperature",),
    ),
    "a model without temperature": Shape(
        without(400, {"error": {"message": "This model does not support temperature"}}, "temperature"),
        requests=2,
        lacks=("temperature",),
    ),
    "Responses, no pieces": Shape(
        answers=sse(
            {"type": "response.output_text.done", "text": ANSWER},
            {"type": "response.completed", "response": {**response(ANSWER), "output": []}},
        ),
        api="responses",
    ),
    "Gemini proxy without finish reason": Shape(
        answers=sse(*map(delta, TEXT), {"choices": [], "usage": usage()}),
    ),
    "Anthropic, compatible API": Shape(
        without(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "store: Extra inputs are not permitted"}}, "store"),
        sse(
            {"type": "ping"},
            *map(delta, TEXT),
            delta(finish="end_turn"),
            {"choices": [], "usage": {"input_tokens": 9, "output_tokens": 8}},
        ),
    ),
    "Ollama": Shape(answers=sse(*map(delta, TEXT), {"choices": [], "usage": usage()})),
    "LM Studio": Shape(
        answers=sse(delta(f"<think>It rains.</think>\n{TEXT[0]}"), delta(TEXT[1], "stop"), {"choices": [], "usage": usage()})
    ),
    "vLLM without a reasoning parser": Shape(
        answers=sse(delta("It rains.\n"), delta(f"</think>\n\n{ANSWER}"), delta(finish="stop", stop_reason=None), {"choices": [], "usage": usage()})
    ),
    "vLLM, refuses unknown fields": Shape(
        without(400, {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options')}]", "type": "BadRequestError", "param": None, "code": 400}, "stream_options"),
        requests=2,
    ),
    "llama-server": Shape(
        answers=sse(delta(None, role="assistant"), *map(delta, TEXT), {**delta(finish="stop"), "usage": usage(), "timings": {"prompt_n": 9}})
    ),
    "fm serve": Shape(
        without(400, {"error": {"message": "Unrecognized request argument supplied: stop", "type": "invalid_request_error"}}, "stop"),
        requests=2,
        lacks=("stop",),
    ),
    "llama_cpp.server": Shape(
        answers=sse(delta(None, role="assistant"), *map(delta, TEXT), delta(finish="stop"))  # no usage
    ),
    "TGI": Shape(answers=sse(*map(delta, TEXT), delta("", "eos_token"), {"choices": [], "usage": usage()})),
    "a gateway that buffers": Shape(
        answers=json.dumps(message(ANSWER)).encode(), content_type="application/json; charset=utf-8"
    ),
    "a gateway that buffers, text in parts": Shape(
        answers=json.dumps(message([{"type": "text", "text": ANSWER}], "complete")).encode(), content_type="application/json"
    ),
    "a gateway with null events": Shape(
        answers=sse("data: null", delta(TEXT[0]), "event: ping\ndata: ping", "data:", {"object": "ping"}, delta(TEXT[1], "stop"), "data: null")
    ),
    "a proxy that breaks lines only once": Shape(
        answers=sse(*map(delta, TEXT), delta(finish="stop")).replace(b"\n\n", b"\n")
    ),
    "a proxy with CRLF and a BOM": Shape(
        answers=b"\xef\xbb\xbf" + sse(*map(delta, TEXT), delta(finish="stop")).replace(b"\n", b"\r\n")
    ),
    "a proxy with carriage returns alone": Shape(
        answers=sse(*map(delta, TEXT), delta(finish="stop")).replace(b"\n", b"\r")
    ),
    "a server that leaves tabs as they are": Shape(
        answers=sse(delta("Rain,\tand more."), delta(finish="stop")).replace(b"\\t", b"\t"), text="Rain,\tand more."
    ),
    "a server that sends half a character": Shape(
        answers=sse(delta("Rain? and more."), delta(finish="stop")).replace(b"?", b"\xe4\xb8"), text="Rain\ufffd and more."
    ),
    "a stream that is called HTML": Shape(content_type="text/html; charset=utf-8"),
    "JSON that is called HTML": Shape(answers=json.dumps(message(ANSWER)).encode(), content_type="text/html"),
    "a stream with a type of its own": Shape(content_type="application/x-json-stream"),
    "a gateway that sends blank lines while it waits": Shape(
        answers=b" \n\n  \n" + json.dumps(message(ANSWER)).encode(), content_type="application/json"
    ),
    "a stream that repeats the answer in its end": Shape(
        answers=sse(*map(delta, TEXT), message(ANSWER))
    ),
    "a stream that repeats the answer beside an empty piece": Shape(
        answers=sse(*map(delta, TEXT), {"choices": [{**delta()["choices"][0], **message(ANSWER)["choices"][0]}]})
    ),
    "a stream whose end has more than its pieces": Shape(
        answers=sse(delta(TEXT[0]), message(ANSWER))
    ),
    "pieces in whole messages": Shape(answers=sse(*(message(piece, None) for piece in TEXT), message("", "stop"))),
    "pieces twice, with a counted index": Shape(
        answers=sse(
            *(
                {"choices": [{"index": number, "delta": {"content": piece}, "message": {"content": piece}, "finish_reason": why}]}
                for number, (piece, why) in enumerate([(TEXT[0], None), (TEXT[1], None), ("", "stop")])
            )
        )
    ),
    "an index in quotes": Shape(
        answers=sse({"choices": [{"index": "0", "delta": {"content": ANSWER}, "finish_reason": "stop"}]})
    ),
    "finishReason": Shape(
        answers=sse({"choices": [{"index": 0, "delta": {"content": ANSWER}, "finish_reason": None, "finishReason": "stop"}]})
    ),
    "content that is one part": Shape(answers=sse(delta({"type": "text", "text": ANSWER}), delta(finish="stop"))),
    "a filter that answers later": Shape(
        answers=sse(
            {"id": "", "choices": [], "model": "", "prompt_filter_results": [{"prompt_index": 0}]},
            {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            delta(ANSWER, "stop"),
            {"id": "", "model": "", "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]},
        )
    ),
    "a server of JSON lines": Shape(
        answers=b"".join(json.dumps(one).encode() + b"\n" for one in (*map(delta, TEXT), delta(finish="stop"))),
        content_type="application/x-ndjson",
    ),
    "a server without a content type": Shape(content_type=""),
    "a server that knows less tokens": Shape(_too_many_tokens, requests=2, last={"max_tokens": 100}),
    "a server that breaks off after the end": Shape(
        answers=sse(*map(delta, TEXT), delta(finish="stop"), end=False) + b'data: {"choices": [{"del'
    ),
    "Completions, the older API": Shape(
        answers=sse({"choices": [{"index": 0, "text": TEXT[0]}]}, {"choices": [{"index": 0, "text": TEXT[1], "finish_reason": "stop"}]})
    ),
    "two blocks of thinking": Shape(
        answers=sse(delta("<think>a</think>\n<thi"), delta(f"nk>b</think>{ANSWER}"), delta(finish="stop"))
    ),
    **{
        f"ends with {reason}": Shape(answers=sse(*map(delta, TEXT), delta(finish=reason)))
        for reason in ("end_of_turn", "<|eot_id|>", "EOM", "eog", "complete", "finished", "done", "end", "End-of-Text")
    },
    "Responses, only the item": Shape(
        answers=sse(
            {"type": "response.output_item.done", "output_index": 1, "item": response(ANSWER)["output"][1]},
            {"type": "response.completed", "response": {**response(ANSWER), "output": []}},
        ),
        api="responses",
    ),
    "Responses, only the part": Shape(
        answers=sse(
            {"type": "response.content_part.done", "part": {"type": "output_text", "text": ANSWER}},
            {"type": "response.completed", "response": {**response(ANSWER), "output": None}},
        ),
        api="responses",
    ),
    "Responses, pieces and everything again": Shape(
        answers=sse(
            {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}},
            *({"type": "response.output_text.delta", "output_index": 1, "delta": piece} for piece in TEXT),
            {"type": "response.output_text.done", "output_index": 1, "text": ANSWER},
            {"type": "response.content_part.done", "output_index": 1, "part": {"type": "output_text", "text": ANSWER}},
            {"type": "response.output_item.done", "output_index": 1, "item": response(ANSWER)["output"][1]},
            {"type": "response.completed", "response": response(ANSWER)},
        ),
        api="responses",
    ),
    "Responses, types only in the stream's event names": Shape(
        answers=sse(
            f"event: response.output_text.delta\ndata: {json.dumps({'delta': ANSWER})}",
            f"event: response.completed\ndata: {json.dumps({'response': {**response(ANSWER), 'output': []}})}",
        ),
        api="responses",
    ),
    "Responses, events without types": Shape(
        answers=sse(*({"delta": piece} for piece in TEXT), {**response(ANSWER), "output": []}), api="responses"
    ),
    "Responses, ends with response.done": Shape(
        answers=sse({"type": "response.done", "response": response(ANSWER)}), api="responses"
    ),
    "Responses, its text beside the output": Shape(
        answers=json.dumps({**response(""), "output": [], "output_text": ANSWER}).encode(),
        content_type="application/json",
        api="responses",
    ),
    "Responses, answered like chat": Shape(
        answers=json.dumps(message(ANSWER)).encode(), content_type="application/json", api="responses"
    ),
    "Responses, streamed like chat": Shape(
        answers=sse(*map(delta, TEXT), delta(finish="stop")), api="responses"
    ),
    "chat, answered like Responses": Shape(
        answers=json.dumps(response(ANSWER)).encode(), content_type="application/json"
    ),
    "Responses, commentary before the answer": Shape(
        answers=sse(
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "phase": "commentary"}},
            {"type": "response.output_text.delta", "output_index": 0, "delta": "I will look."},
            {"type": "response.output_text.delta", "output_index": 1, "delta": ANSWER},
            {"type": "response.completed", "response": {**response(ANSWER), "output": [
                {**response("I will look.")["output"][1], "phase": "commentary"},
                {**response(ANSWER)["output"][1], "phase": "final_answer"},
            ]}},
        ),
        api="responses",
    ),
    "Responses, commentary that only the end names": Shape(
        answers=sse(
            {"type": "response.output_text.delta", "output_index": 0, "delta": "I will look."},
            {"type": "response.output_text.delta", "output_index": 1, "delta": ANSWER},
            {"type": "response.completed", "response": {**response(ANSWER), "output": [
                {**response("I will look.")["output"][1], "channel": "analysis"}, response(ANSWER)["output"][1],
            ]}},
        ),
        api="responses",
    ),
    "Responses, two messages": Shape(
        answers=sse(
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}},
            {"type": "response.output_text.delta", "output_index": 0, "delta": "First."},
            {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message"}},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "Sec"},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "ond."},
            {"type": "response.completed", "response": {**response(""), "output": [
                response("First.")["output"][1], response("Second.")["output"][1],
            ]}},
        ),
        api="responses",
        text="First.\n\nSecond.",
    ),
    "Responses, two messages at once": Shape(
        answers=sse({"type": "response.completed", "response": {**response(""), "output": [
            response("First.")["output"][1], response("Second.")["output"][1],
        ]}}),
        api="responses",
        text="First.\n\nSecond.",
    ),
    **{
        f"{api}, an emoji cut in two": Shape(
            answers=sse(*(
                {"choices": [{"index": 0, "delta": {"content": piece}}]}
                if api == "chat"
                else {"type": "response.output_text.delta", "delta": piece}
                for piece in ("a\ud83d", "\ude00b\ud83d", "c")
            ), delta(finish="stop") if api == "chat" else {"type": "response.done", "response": {**response(""), "output": []}}),
            api=api,
            text="a\U0001f600b?c",
        )
        for api in ("chat", "responses")
    },
    "a server that names an error after the end": Shape(
        answers=sse(*map(delta, TEXT), delta(finish="stop"), "data: {broken")
    ),
}  # fmt: skip


class ShapedServers:
    """Serves each of `shapes` below a path of its own, and records the requests."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = list(shapes.values())
        self.received: dict[int, list[Body]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                number = int(self.path.split("/")[1])
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.received.setdefault(number, []).append(request)
                outer._answer(self, outer.shapes[number], request)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"

    def base_url(self, number: int) -> str:
        return f"{self.origin}/{number}/v1"

    def _answer(self, handler: BaseHTTPRequestHandler, shape: Shape, request: Body) -> None:
        refused = shape.refuses(request)
        status, content_type, body = 200, shape.content_type, shape.answers
        if refused is not None:
            status, content_type, body = refused[0], "application/json", json.dumps(refused[1]).encode()
        elif not request.get("stream") and shape.whole is not None:
            content_type, body = "application/json", shape.whole
        handler.send_response(status)
        if content_type:
            handler.send_header("Content-Type", content_type)
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def serving(shapes: Mapping[str, Shape]) -> Iterator[ShapedServers]:
    servers = ShapedServers(shapes)
    Thread(target=servers._server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield servers
    finally:
        servers._server.shutdown()
        servers._server.server_close()
