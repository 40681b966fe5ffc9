"""Code without its fence: by request (`--code`), and where a prompt wants nothing but the answer."""

from __future__ import annotations

import pytest

from hybrid_cli.checks.code_block import first_code_block, unfenced


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Here:\n```bash\nls -l\n```\nand\n```\nx\n```", "ls -l"),
        ("```sh\na\n\n  b\n```", "a\n\n  b"),
        ("~~~python\nprint('```')\n~~~", "print('```')"),
        ("````md\n```sh\nls\n```\n````", "```sh\nls\n```"),
        ("```sh\nnot closed", "not closed"),
        ("```sh\r\nls\r\n```\r\n", "ls"),
        ("1. Run:\n   ```sh\n   ls\n     -l\n   ```", "ls\n  -l"),
        ("`ls -l`", "ls -l"),
        ("Use `ls` here.", "Use `ls` here."),
        ("ls -l", "ls -l"),
    ],
)
def test_the_first_block_is_taken(answer: str, code: str) -> None:
    assert first_code_block(answer) == code


def test_a_fence_goes_only_if_it_surrounds_all_and_the_prompt_wants_nothing_else() -> None:
    fenced = "```sh\nls\n```"
    for prompt in ("Print only the command.", "Just the command", "The command, nothing else", "no markdown"):
        assert unfenced(fenced, prompt) == "ls"
        assert unfenced("`ls`", prompt) == "ls"
    assert unfenced(fenced, "How do I list files?") == fenced
    for answer in (f"{fenced}\nThis lists files.", f"{fenced}\n{fenced}", "ls"):
        assert unfenced(answer, "Print only the command.") == answer
