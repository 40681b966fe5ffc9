"""Checks of conditions that protect: one that can never hold is refused when the profile is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hybrid_cli.profile.languages import codes_of
from hybrid_cli.profile.patterns import check_pattern
from hybrid_cli.ui.suggest import nearest


def check_conditions(matches: str | None, language: Sequence[str] | None, tags: Sequence[str] | None) -> None:
    """Raise ValueError, naming the key, if one of a rule's conditions can never hold."""
    checks: tuple[tuple[str, Callable[[str], object], Sequence[str]], ...] = (
        ("matches", check_pattern, [] if matches is None else [matches]),
        ("language", codes_of, language or []),
        ("tags", _check_tag, tags or []),
    )
    for key, check, given in checks:
        for text in given:
            try:
                check(text)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None


def _check_tag(tag: str) -> None:
    """Raise ValueError for a tag that --tag, which splits at commas and strips spaces, cannot name."""
    if not tag.strip():
        raise ValueError(f"`{tag}` is empty; --tag cannot name it")
    if "," in tag:
        parts = " and ".join(f"`{part.strip()}`" for part in tag.split(",") if part.strip())
        raise ValueError(f"`{tag}` contains a comma, which --tag splits at; list {parts}")


def check_country(country: str) -> None:
    """Raise ValueError if no telephone number of `country` can be found: without the extra, or if it is unknown."""
    try:
        import phonenumbers
    except ImportError:
        raise ValueError("country: needs the pii extra; run: pip install 'hybrid-cli[pii]'") from None
    regions = phonenumbers.SUPPORTED_REGIONS
    if country not in regions:
        close = {"UK": "GB", "EL": "GR"}.get(country) or nearest(country, regions)
        hint = f"; did you mean `{close}`?" if close else ""
        raise ValueError(f"country: `{country}` is no country code of ISO 3166{hint}")
