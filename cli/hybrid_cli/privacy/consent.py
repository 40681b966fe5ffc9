"""The clouds that the user agreed to send prompts to: by origin, and by model where the user was asked.

Stored in the config folder, outside any repository.
"""

from __future__ import annotations

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.json_map import JsonMap

_ANY = "*"


class Consent:
    """The recorded consent, read once, and the origins in HYBRID_CONSENT."""

    def __init__(self, environment: Environment) -> None:
        self._file = JsonMap(environment.config_folder / "consent.json")
        self._recorded = self._file.read()
        named = environment.variables.get("HYBRID_CONSENT", "")
        try:
            self._in_variable = {origin_of(url) for url in named.split(",") if url.strip()}
        except Failure as failure:
            raise Failure(failure.status, f"HYBRID_CONSENT: {failure}") from None

    def covers(self, url: str, model: str) -> bool:
        """Whether prompts may be sent to `model` at the origin of `url`."""
        origin = origin_of(url)
        models = self._recorded.get(origin, "").split("\n")
        return origin in self._in_variable or _ANY in models or model in models

    def granted(self) -> dict[str, str]:
        """The models granted at each origin: names, `*` for all, or `*` with the variable that grants them."""
        recorded = {origin: models.replace("\n", ", ") for origin, models in self._recorded.items()}
        return {**recorded, **dict.fromkeys(sorted(self._in_variable), "* (HYBRID_CONSENT)")}

    def grant(self, url: str, model: str = _ANY) -> str:
        """Record consent for `model`, or for all models, at the origin of `url`, and return that origin."""
        origin = origin_of(url)
        recorded = self._file.read()
        models = {*recorded.get(origin, "").split("\n"), model} - {""}
        self._write({**recorded, origin: "\n".join(sorted(models))})
        return origin

    def revoke(self, url: str) -> str:
        """Delete the consent for the origin of `url`, and return that origin."""
        origin = origin_of(url)
        recorded = self._file.read()
        if origin not in recorded:
            raise Failure(ExitStatus.USAGE, f"no recorded consent for {origin}; run: hybrid consent ls")
        del recorded[origin]
        self._write(recorded)
        return origin

    def _write(self, recorded: dict[str, str]) -> None:
        self._file.write(recorded)
        self._recorded = recorded
