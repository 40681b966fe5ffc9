"""Which clouds the user agreed to send to: by origin, and by model where that was asked.

Kept in the config folder, outside any repository.
"""

from __future__ import annotations

from hybrid_cli.exit_status import ExitStatus, Failure
from hybrid_cli.profile.origin import origin_of
from hybrid_cli.ui.environment import Environment
from hybrid_cli.ui.json_map import JsonMap

_ANY = "*"


class Consent:
    """The origins consented to: recorded ones with their models, and those that HYBRID_CONSENT names."""

    def __init__(self, environment: Environment) -> None:
        self._records = JsonMap(environment.config_folder / "consent.json")
        named = environment.variables.get("HYBRID_CONSENT", "")
        try:
            self._variable = {origin_of(url) for url in named.split(",") if url.strip()}
        except Failure as failure:
            raise Failure(failure.status, f"HYBRID_CONSENT: {failure}") from None

    def covers(self, url: str, model: str) -> bool:
        """Whether prompts may be sent to `model` at the origin of `url`."""
        origin = origin_of(url)
        models = self._records.read().get(origin, "").split("\n")
        return origin in self._variable or _ANY in models or model in models

    def granted(self) -> dict[str, str]:
        """Each origin with what was granted: models, `*` for any, or the variable that says so."""
        recorded = {origin: models.replace("\n", ", ") for origin, models in self._records.read().items()}
        return {**recorded, **dict.fromkeys(sorted(self._variable), "* (HYBRID_CONSENT)")}

    def grant(self, url: str, model: str = _ANY) -> str:
        """Record consent for `model`, or any, at the origin of `url`, and return that origin."""
        origin = origin_of(url)
        recorded = self._records.read()
        models = [*recorded.get(origin, "").split("\n"), model]
        self._records.write({**recorded, origin: "\n".join(sorted({name for name in models if name}))})
        return origin

    def revoke(self, url: str) -> str:
        """Take consent for the origin of `url` back, and return that origin."""
        origin = origin_of(url)
        recorded = self._records.read()
        if origin not in recorded:
            raise Failure(ExitStatus.USAGE, f"there is no recorded consent for {origin}")
        del recorded[origin]
        self._records.write(recorded)
        return origin
