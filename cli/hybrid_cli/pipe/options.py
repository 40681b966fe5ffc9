"""The options of one `hybrid pipe`, and the instruction, template and record kind they describe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hybrid_cli.checks.choices import read_choices
from hybrid_cli.checks.json_schema import read_schema
from hybrid_cli.checks.verify import require_command
from hybrid_cli.egress.prompt_rules import known_tags
from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.pipe.record_cascade import Instruction
from hybrid_cli.pipe.record_kinds import Each, Input
from hybrid_cli.pipe.template import RecordTemplate, field_template, user_template
from hybrid_cli.profile.policy import Policy
from hybrid_cli.prompt import prompt_of
from hybrid_cli.prompt_files.prompt_file import PromptFile
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.sanitize import shorten


def read_delimiter(given: str) -> str:
    """The character that --delimiter names. Raises Failure (USAGE) if it cannot separate fields."""
    character = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}.get(given, given)
    if len(character) != 1 or character in '"\r\n\ufeff':
        raise Failure(
            ExitStatus.USAGE, f"--delimiter must be one character, such as ';' or tab, not `{shorten(given)}`"
        )
    return character


@dataclass(frozen=True)
class PipeOptions:
    """The command line of `hybrid pipe`, without the flags that set the policy."""

    instruction: str | None
    """None with a prompt template."""
    files: tuple[Path, ...] = ()
    each: Each | None = None
    """None picks `jsonl` where fields are needed or the input is JSON Lines, else `line`."""
    delimiter: str | None = None
    """Between the fields of CSV; None finds it in the header row."""
    field: str | None = None
    template: str | None = None
    prompt_template: str | None = None
    """The name of a stored template, in which `{input}` is the record."""
    variables: tuple[str, ...] = ()
    """Its variables, as `NAME=VALUE`."""
    shared_files: tuple[str, ...] = ()
    """Paths of files and folders that come before the instruction, for each record."""
    system: str | None = None
    tags: frozenset[str] = frozenset()
    schema: str | None = None
    """A file name or JSON; None for the profile's schema."""
    verify: tuple[str, ...] = ()
    """A command; empty for the profile's."""
    choices: str | None = None
    code: bool = False
    stop: tuple[str, ...] = ()
    allow_truncated: bool = False
    output: Path | None = None
    jobs: int | None = None
    cloud_jobs: int = 4
    jsonl: bool = False
    key: str = "hybrid"
    unordered: bool = False
    fail_fast: bool = False
    resume: Path | None = None
    dry_run: bool = False
    cluster: str | None = None
    """Ray's address, or `auto`."""

    @property
    def as_objects(self) -> bool:
        """Whether each answer is written as an object: --resume finds answers by their keys."""
        return self.jsonl or self.resume is not None

    def read_instruction(self, policy: Policy, environment: Environment) -> Instruction:
        """Return the instruction. Raises Failure (USAGE) if options contradict each other or cannot be read."""
        schema = self.schema or policy.checks.schema
        choices = read_choices(self.choices) if self.choices is not None else ()
        if choices and self.schema is not None:
            raise Failure(ExitStatus.USAGE, "--choices and --schema exclude each other; give one of them")
        if self.resume is not None and self.output is not None and str(self.output) != "-":
            raise Failure(ExitStatus.USAGE, "--output and --resume exclude each other; give one of them")
        command = self.verify or tuple(policy.checks.verify or ())
        require_command(command, environment.variables)
        text, suffix = self._texts(environment)
        files, shared = self._shared(environment)
        return Instruction(
            text,
            self._template(),
            self.system,
            read_schema(schema) if schema is not None and not choices else None,
            command,
            choices,
            known_tags(self.tags, policy, environment),
            self.code,
            self.stop,
            self.allow_truncated,
            suffix,
            files,
            shared,
        )

    def _shared(self, environment: Environment) -> tuple[tuple[PromptFile, ...], str]:
        """Return the files for each record, and their texts as the model sees them. Raises Failure (USAGE)."""
        if not self.shared_files:
            return (), ""
        from hybrid_cli.prompt_files.collect import as_context, read_files  # late, as most pipes have none

        if "-" in self.shared_files:
            raise Failure(ExitStatus.USAGE, "-f - is for hybrid run; in a pipe, stdin has the records")
        files = tuple(read_files(self.shared_files, environment))
        return files, as_context(files)

    def _texts(self, environment: Environment) -> tuple[str, str]:
        """Return the texts before and after each record. Raises Failure (USAGE)."""
        if self.prompt_template is not None:
            from hybrid_cli.prompt_files.templates import filled_template

            before, after = filled_template(self.prompt_template, self.variables, environment).around_input()
            return before.strip(), after.rstrip()
        if self.variables:
            raise Failure(ExitStatus.USAGE, "--var needs a template: -t NAME")
        if self.instruction is None:
            raise Failure(ExitStatus.USAGE, "pipe needs INSTRUCTION; see hybrid pipe --help")
        return prompt_of(self.instruction, environment), ""

    def _template(self) -> RecordTemplate:
        if self.field is not None and self.template is not None:
            raise Failure(ExitStatus.USAGE, "--field and --template exclude each other; give one of them")
        if self.template is not None:
            return user_template(self.template)
        return field_template(self.field) if self.field is not None else RecordTemplate()

    def record_kind(self) -> Input:
        """Return the kind of the input's records, or how to find it. Raises Failure (USAGE) for a field of a record without fields."""
        needs_fields = self.field is not None or self.template is not None
        if self.delimiter is not None and self.each != "csv":
            raise Failure(ExitStatus.USAGE, "--delimiter needs --each csv")
        if self.each is None:
            return "jsonl" if needs_fields else "by content" if self.as_objects else "by name"
        if needs_fields and self.each not in ("jsonl", "csv"):
            raise Failure(
                ExitStatus.USAGE, "--field and --template need fields; use --each jsonl or --each csv"
            )
        return self.each
