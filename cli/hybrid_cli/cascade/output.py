"""Write the answer to stdout or a file: as text, JSON or an image, streamed or whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from hybrid_cli.cascade.output_file import OutputFile
from hybrid_cli.cascade.streamed_text import StreamedText
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.markdown import MarkdownWriter
from hybrid_cli.ui.sanitize import EscapeFilter, plain, reveal_bidi


class Output:
    """The destination of one answer. Opened before any work, so that a bad one fails at no cost."""

    def __init__(
        self,
        environment: Environment,
        *,
        file: Path | None,
        as_json: bool,
        stream: bool,
        raw: bool = False,
        render: bool = False,
        whole: bool = False,
    ) -> None:
        """Open the output. Raises Failure if it cannot be written to.

        `raw` keeps control sequences in pipes and files. `render` renders Markdown on a terminal. `whole` disables
        streaming.
        """
        self._as_json = as_json
        self._file = OutputFile(file, environment) if file is not None and str(file) != "-" else None
        self._environment = environment
        if self._file is None and environment.stdout is None:
            raise Failure(ExitStatus.FAILURE, "stdout is closed; give --output FILE")
        self._is_terminal = environment.stdout_is_terminal()
        wanted = stream or self._is_terminal
        self.streams = wanted and self._file is None and not as_json and not whole
        self._escapes_commands = self._file is None and not raw and environment.in_ci()
        if self._escapes_commands:  # a runner command is recognised only in a whole line
            self.streams = False
        self._raw = raw and (self._file is not None or not self._is_terminal)
        self._keeps_bidi = raw or self._file is not None or not self._is_terminal
        self._markdown: MarkdownWriter | None = None
        if render and self._is_terminal and self._file is None and not as_json and not self._escapes_commands:
            self._markdown = MarkdownWriter(
                self._write,
                columns=shutil.get_terminal_size().columns,
                colour=environment.uses_colour(environment.stdout),
            )
        self._filter = EscapeFilter()
        self._streamed = StreamedText()
        self._shown = False
        self._in_line = False
        self._has_noted_thinking = False

    def stream(self, text: str) -> None:
        """Write the next piece of the answer now, if this output streams."""
        if not self.streams:
            return
        self._show(self._streamed.feed(text if self._raw else self._filter.feed(text)))

    def _show(self, text: str) -> None:
        if text:
            self._shown = True
            text = text if self._keeps_bidi else reveal_bidi(text)
            if self._markdown is not None:
                self._markdown.feed(text)
                return
            self._in_line = not text.endswith("\n")
            self._write(text)

    def end_line(self) -> None:
        """End the line of a streamed answer, so that later output starts on a new line."""
        self._show(self._streamed.feed(self._filter.flush()) + self._streamed.flush())
        if self._markdown is not None:
            self._markdown.flush()
        if self._in_line:
            self._in_line = False
            self._write("\n")
        if self._streamed.has_shown_thinking and not self._has_noted_thinking:
            self._has_noted_thinking = True
            self._environment.note(
                "the text before the answer is thinking, which came without its opening tag; -o FILE gets the answer alone"
            )

    @property
    def takes_images(self) -> bool:
        """Whether the local model may request an image: only a file or JSON can take one unexpectedly."""
        return self._file is not None or self._as_json

    def require_image_output(self) -> None:
        """Raise Failure (USAGE) if an image would go to a terminal. Call it before anything is paid."""
        if self._file is None and self._is_terminal and not self._as_json:
            raise Failure(ExitStatus.USAGE, "cannot print an image on a terminal; use --output FILE")

    def finish(self, text: str, answer: dict[str, Any], image: bytes | None = None) -> None:
        """Write what was not streamed: `answer` as JSON, `image` if there is one, or `text`."""
        if self._as_json:
            self._write(self._environment.escape_json(json.dumps(answer)) + "\n")
        elif image is not None:
            self._write_bytes(image)
        elif self._shown:
            self.end_line()
        else:
            shown = text if self._raw else plain(text)
            shown = shown if self._keeps_bidi else reveal_bidi(shown)
            if self._markdown is not None:
                self._markdown.feed(shown)
                self._markdown.flush()
            else:
                self._write(
                    (self._environment.escape_runner_commands(shown) if self._escapes_commands else shown)
                    + "\n"
                )
        if self._file is not None:
            self._file.commit()

    def _write(self, text: str) -> None:
        self._write_bytes(text.encode("utf-8", "replace"))

    def _write_bytes(self, data: bytes) -> None:
        if self._file is not None:
            self._file.file.write(data)
        else:
            self._environment.write_stdout(data)

    def close(self) -> None:
        """Discard an unfinished output file."""
        if self._file is not None:
            self._file.discard()
