"""The gate's figures, the calibrations that ship, and the tables of the documents: from answered questions.

    python tests/benchmarks/gate_rows.py FOLDER --model MODEL --data DATA
    python tests/benchmarks/gate.py FOLDER --model MODEL [--ship NAME]

Each file in FOLDER holds rows of gate_rows.py, or of `hybrid eval --rows` under the default profile. Its name says
what they are: `exam*.jsonl` are answers to the built-in exam, `unseen*.jsonl` are never fitted, and all others are public
tasks.
The cloud of the curves is one that is right 9 times in 10, whatever the question.

Prints the table of docs/gate.md, and how often the promise breaks. `--ship` also fits on everything but `unseen*`
and writes the calibration that ships with hybrid.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from hybrid_cli.evaluate import rows as row_files
from hybrid_cli.evaluate import thresholds
from hybrid_cli.evaluate.fit_local import fit_local, local_scores, unseen_local_scores
from hybrid_cli.evaluate.fit_samples import fit_shifts, sampled_scores
from hybrid_cli.evaluate.metrics import Curve, Interval, Numbers, auroc, bootstrap
from hybrid_cli.evaluate.promises import Outcomes
from hybrid_cli.evaluate.rows import Row
from hybrid_cli.gate.calibration import SHIPPED, Calibration, as_text
from hybrid_cli.gate.local_score import LocalScore
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.ui.environment import Environment
from hybrid_cli.weights.store import Store

LIMITS = {"quality": 0.1, "default": 0.2, "frugal": 0.35}
RESPLITS = 200
CLOUD_RIGHT = 0.9
SHARES = (0.3, 0.5)


@dataclass(frozen=True)
class Answered:
    """The rows of a folder."""

    exam: list[Row]
    public: list[Row]
    unseen: list[Row]

    @classmethod
    def read(cls, folder: Path) -> Answered:
        found: dict[str, list[Row]] = {"exam": [], "public": [], "unseen": []}
        for file in sorted(folder.glob("*.jsonl")):
            part = next((name for name in ("exam", "unseen") if file.name.startswith(name)), "public")
            found[part] += row_files.SavedRows.read(file).rows.values()
        return cls(**found)


def wrong(rows: Sequence[Row]) -> Numbers:
    return 1 - row_files.right(rows)


@dataclass(frozen=True)
class Scored:
    """Rows with scores by a fit that did not see them, and the thresholds that came from other rows."""

    name: str
    score: Numbers
    label: Numbers
    keep_to: dict[str, Numbers]
    """For each profile the threshold of each row; below 0 it keeps nothing."""

    @classmethod
    def of(cls, name: str, score: Numbers, label: Numbers, keep_to: dict[str, float | None]) -> Scored:
        columns = {
            profile: np.full(len(score), -1.0 if value is None else value)
            for profile, value in keep_to.items()
        }
        return cls(name, score, label, columns)

    @classmethod
    def joined(cls, name: str, parts: Sequence[Scored]) -> Scored:
        return cls(
            name,
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.label for part in parts]),
            {profile: np.concatenate([part.keep_to[profile] for part in parts]) for profile in LIMITS},
        )

    def line(self) -> str:
        """Return the line of the table."""
        cells = [self.name, str(len(self.score)), shown(bootstrap(auroc, self.score, self.label))]
        cells += [self._kept(profile) for profile in LIMITS]
        return f"| {' | '.join([*cells, self._way()])} |"

    def _kept(self, profile: str) -> str:
        kept = self.score <= self.keep_to[profile]
        if not kept.any():
            return "0 %"
        return f"{kept.mean():.0%}, {int(self.label[kept].sum())} of {int(kept.sum())} wrong".replace(
            "%", " %", 1
        )

    def _way(self) -> str:
        """Return how far handoffs by the score go from random ones to the oracle's, in accuracy."""
        local, cloud = 1 - self.label, np.full(len(self.label), CLOUD_RIGHT)
        mine, best = Curve.of(self.score, local, cloud), Curve.of(self.label, local, cloud)
        ways = []
        for share in SHARES:
            chance = (1 - share) * local.mean() + share * CLOUD_RIGHT
            ways.append((mine.accuracy(share) - chance) / (best.accuracy(share) - chance))
        return ", ".join(f"{way:.2f}" for way in ways)


def promise_line(name: str, exam: Sequence[Row], tasks: Sequence[Row]) -> str:
    """Return how often the promise breaks: half of the tasks are fitted with the exam, the other half is tested."""
    draw, limit = np.random.default_rng(0), LIMITS["default"]
    names = sorted({row.task for row in tasks})
    broken, nothing, kept_shares = 0, 0, []
    for _ in range(RESPLITS):
        seen = set(draw.permutation(names)[: len(names) // 2])
        fitted = [*exam, *(row for row in tasks if row.task in seen)]
        tested = [row for row in tasks if row.task not in seen]
        keep_to = promised(fitted)["default"]
        if keep_to is None:
            nothing += 1
            continue
        kept = local_scores(fit_local(fitted), tested) <= keep_to
        kept_shares.append(kept.mean())
        broken += bool(kept.any()) and wrong(tested)[kept].mean() > limit
    kept = f"; otherwise kept {np.mean(kept_shares):.0%}" if kept_shares else ""
    return (
        f"{name}: of {RESPLITS} resplits, {broken} break the promise of at most {limit:g} wrong, {nothing} keep"
        f" nothing{kept}"
    )


def shown(figure: Interval) -> str:
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


def left_out(name: str, known: Sequence[Row], tasks: Sequence[Row], *, sampled: bool = False) -> Scored:
    """Leave each task of `tasks` out of the fit and of the threshold, and score it.

    With `sampled`, the agreement of samples counts.
    """
    parts = []
    for task in sorted({row.task for row in tasks}):
        rest = [row for row in [*known, *tasks] if row.task != task]
        out = [row for row in tasks if row.task == task]
        score = local_scores(fit_local(rest), out)
        if sampled:
            score = sampled_scores(out, score, fit_shifts(rest, unseen_local_scores(rest, "task")))
        parts.append(Scored.of("", score, wrong(out), promised(rest)))
    return Scored.joined(name, parts)


def promised(rows: Sequence[Row]) -> dict[str, float | None]:
    """Return each profile's threshold, by scores of fits that saw no row of the same task."""
    score, label, tasks = unseen_local_scores(rows, "task"), wrong(rows), [row.task for row in rows]
    return {
        profile: thresholds.wrong_on_average(score, label, limit, tasks) for profile, limit in LIMITS.items()
    }


def table(answered: Answered) -> Iterator[str]:
    """Yield the lines of the figures."""
    exam, public, unseen = answered.exam, answered.public, answered.unseen
    limits = [f"`{profile}`: kept (at most {limit:g} wrong)" for profile, limit in LIMITS.items()]
    heads = [
        "questions",
        "rows",
        'AUROC of "local wrong"',
        *limits,
        "way to the oracle at 30 %, 50 % handed off",
    ]
    yield f"| {' | '.join(heads)} |"
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    inner, model = unseen_local_scores(exam), fit_local(exam)
    keep_to = promised(exam)
    known = Scored.of("the exam, unseen questions", inner, wrong(exam), keep_to)
    yield known.line()
    yield left_out("the exam, unseen kinds", public, exam).line()
    lines = []
    if public:
        seen = Scored.of(
            "public tasks, fit on the exam alone", local_scores(model, public), wrong(public), keep_to
        )
        yield seen.line()
        out = left_out("each public task left out", exam, public)
        yield out.line()
        yield Scored.joined("the exam and the public tasks left out", [known, out]).line()
        lines.append(promise_line("public tasks", exam, public))
    if unseen:
        other = Scored.of(
            "other tasks, fit on the exam alone", local_scores(model, unseen), wrong(unseen), keep_to
        )
        yield other.line()
        both = Scored.joined("the exam and other tasks", [known, other])
        yield both.line()
        lines.append(promise_line("other tasks", exam, unseen))
    if unseen and public:
        fitted = [*exam, *public]
        keep_to = promised(fitted)
        yield Scored.of(
            "other tasks, as shipped", local_scores(fit_local(fitted), unseen), wrong(unseen), keep_to
        ).line()
    yield from compared(exam, public)
    yield from ["", *lines]


def compared(exam: Sequence[Row], public: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the answers that were compared with samples: their task left out, without and with samples."""
    tasks = {row.task for row in [*exam, *public] if "agreement" in row.signals}
    known = [row for row in [*exam, *public] if row.task not in tasks]
    other = [row for row in [*exam, *public] if row.task in tasks]
    where = np.array(["agreement" in row.signals for row in _by_task(other)])
    for name, sampled in (("compared answers, by the score", False), ("the same, with two samples", True)):
        if tasks:
            found = left_out(name, known, other, sampled=sampled)
            keep_to = {profile: column[where] for profile, column in found.keep_to.items()}
            yield Scored(name, found.score[where], found.label[where], keep_to).line()


def _by_task(rows: Sequence[Row]) -> list[Row]:
    """Return `rows` in the order of `left_out`."""
    return sorted(rows, key=lambda row: row.task)


def ship(answered: Answered, model: str, name: str) -> None:
    """Write the calibration that ships for `model`, under `name`."""
    environment = Environment.of_process()
    policy = merge_policy(Flags(model=model), environment)
    weights = Store(environment).locate(policy.local.model)
    fitted = [*answered.exam, *answered.public]
    score = unseen_local_scores(fitted, "task")
    found = Outcomes(fitted, score, None, None)
    calibration = Calibration(
        model=name,
        weights=weights.sha256,
        size=weights.path.stat().st_size,
        rows=len(fitted),
        score=rounded(fit_local(fitted)),
        promises=[*found.promises("escalate_at_most"), *found.promises("wrong_at_most")],
        shifts=[round(shift, 5) for shift in fit_shifts(fitted, score)],
    )
    SHIPPED.mkdir(exist_ok=True)
    (SHIPPED / f"{name}.json").write_bytes(as_text(calibration))


def rounded(score: LocalScore) -> LocalScore:
    """Return `score` with five decimals a number."""
    data = json.loads(msgspec.json.encode(score), parse_float=lambda text: round(float(text), 5))
    return msgspec.convert(data, LocalScore)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True, help="a model's name or file")
    parser.add_argument("--ship", metavar="NAME", help="write the calibration that ships under NAME")
    chosen = parser.parse_args()
    answered = Answered.read(chosen.folder)
    for line in table(answered):
        print(line, flush=True)
    if chosen.ship:
        ship(answered, chosen.model, chosen.ship)


if __name__ == "__main__":
    main()
