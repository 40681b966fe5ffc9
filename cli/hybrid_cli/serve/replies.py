"""Answers in OpenAI's forms: whole, or as the events of a stream."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

from hybrid_cli.cascade.answer import Answer
from hybrid_cli.serve.bodies import ChatBody, ResponsesBody
from hybrid_cli.serve.faults import HttpFault

Event = dict[str, Any]


class Reply(Protocol):
    """The form of one endpoint's answer to one request."""

    end_mark: bytes
    """What follows the last event."""
    logprobs: list[Event] | None
    """Of the answer's tokens; None if they were not asked for, or are not known."""

    def whole(self, answer: Answer) -> Event: ...
    def begin(self) -> list[Event]: ...
    def piece(self, text: str) -> list[Event]: ...
    def end(self, answer: Answer) -> list[Event]: ...
    def fault(self, fault: HttpFault) -> list[Event]: ...


def headers_of(answer: Answer) -> dict[str, str]:
    """Return what a client can read without the body."""
    cost = (
        {}
        if answer.cost_usd is None
        else {"x-hybrid-cost-usd": f"{answer.cost_usd:.9f}".rstrip("0").rstrip(".")}
    )
    return {"x-hybrid-answered-by": answer.answered_by, "x-hybrid-reason": answer.handoff.reason, **cost}


def encoded(event: Event) -> bytes:
    """Return one server-sent event."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def tokens_of(answer: Answer) -> tuple[int, int]:
    """Return the tokens in and out of the model that answered."""
    counts = getattr(answer.usage, answer.answered_by)
    return counts.in_ or 0, counts.out or 0


class ChatReply:
    """An answer of Chat Completions."""

    end_mark = b"data: [DONE]\n\n"

    def __init__(self, body: ChatBody, number: str) -> None:
        self.logprobs: list[Event] | None = None
        self._frame = {"id": f"chatcmpl-{number}", "created": int(time.time())}
        self._model = body.model
        self._counts_tokens = body.stream_options is not None and body.stream_options.include_usage

    def whole(self, answer: Answer) -> Event:
        message = {"role": "assistant", "content": answer.answer, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(),
            "finish_reason": _finish(answer),
        }
        return {
            **self._frame,
            "object": "chat.completion",
            "model": answer.model,
            "choices": [choice],
            "usage": _chat_usage(answer),
            "hybrid": answer.as_json(),
        }

    def _logprobs(self) -> Event | None:
        return None if self.logprobs is None else {"content": self.logprobs, "refusal": None}

    def _chunk(
        self,
        delta: Event | None,
        finish: str | None = None,
        model: str | None = None,
        logprobs: Event | None = None,
    ) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {
            **self._frame,
            "object": "chat.completion.chunk",
            "model": model or self._model,
            "choices": [] if delta is None else [choice],
            **({"usage": None} if self._counts_tokens else {}),
        }

    def begin(self) -> list[Event]:
        return [self._chunk({"role": "assistant", "content": ""})]

    def piece(self, text: str) -> list[Event]:
        return [self._chunk({"content": text}, logprobs=self._logprobs())]

    def end(self, answer: Answer) -> list[Event]:
        events = [self._chunk({}, _finish(answer), answer.model)]
        if self._counts_tokens:
            events.append({**self._chunk(None, model=answer.model), "usage": _chat_usage(answer)})
        events[-1]["hybrid"] = answer.as_json()
        return events

    def fault(self, fault: HttpFault) -> list[Event]:
        return [fault.body]


def _finish(answer: Answer) -> str:
    return answer.finish_reason if answer.finish_reason in ("stop", "length", "content_filter") else "stop"


def _chat_usage(answer: Answer) -> Event:
    tokens_in, tokens_out = tokens_of(answer)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }


class ResponsesReply:
    """An answer of Responses."""

    end_mark = b""

    def __init__(self, body: ResponsesBody, number: str) -> None:
        self.logprobs: list[Event] | None = None
        self._body = body
        self._number = number
        self._created = int(time.time())
        self._events = 0

    def _response(self, status: str, answer: Answer | None = None) -> Event:
        body = self._body
        cut = answer is not None and _finish(answer) == "length"
        return {
            "id": f"resp_{self._number}",
            "object": "response",
            "created_at": self._created,
            "status": "incomplete" if cut else status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "model": body.model if answer is None else answer.model,
            "output": [] if answer is None else [self._item("completed", answer.answer)],
            "parallel_tool_calls": False,
            "temperature": body.temperature,
            "tool_choice": "none",
            "tools": [],
            "top_p": None,
            "metadata": {},
            "usage": None if answer is None else _responses_usage(answer),
            **({} if answer is None else {"hybrid": answer.as_json()}),
        }

    def _part(self, text: str) -> Event:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self.logprobs or []}

    def _item(self, status: str, text: str | None) -> Event:
        content = [] if text is None else [self._part(text)]
        return {
            "id": f"msg_{self._number}",
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def _event(self, kind: str, **fields: Any) -> Event:
        self._events += 1
        return {"type": f"response.{kind}", "sequence_number": self._events - 1, **fields}

    def _place(self) -> Event:
        return {"item_id": f"msg_{self._number}", "output_index": 0, "content_index": 0}

    def whole(self, answer: Answer) -> Event:
        return self._response("completed", answer)

    def begin(self) -> list[Event]:
        return [
            self._event("created", response=self._response("in_progress")),
            self._event("in_progress", response=self._response("in_progress")),
            self._event("output_item.added", output_index=0, item=self._item("in_progress", None)),
            self._event("content_part.added", **self._place(), part={**self._part(""), "logprobs": []}),
        ]

    def piece(self, text: str) -> list[Event]:
        return [self._event("output_text.delta", **self._place(), delta=text, logprobs=self.logprobs or [])]

    def end(self, answer: Answer) -> list[Event]:
        text = answer.answer
        response = self._response("completed", answer)
        return [
            self._event("output_text.done", **self._place(), text=text, logprobs=self.logprobs or []),
            self._event("content_part.done", **self._place(), part=self._part(text)),
            self._event("output_item.done", output_index=0, item=self._item("completed", text)),
            self._event(response["status"], response=response),
        ]

    def fault(self, fault: HttpFault) -> list[Event]:
        event = self._event("error", code=fault.code, message=fault.message, param=fault.param)
        return [{**event, "type": "error"}]


def _responses_usage(answer: Answer) -> Event:
    tokens_in, tokens_out = tokens_of(answer)
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens_in + tokens_out,
    }
