"""Content types of GraphQL over HTTP: what a client sends, and what it wants back."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache


class Answer(StrEnum):
    """The media types of an answer."""

    RESPONSE = "application/graphql-response+json"
    JSON = "application/json"
    EVENTS = "text/event-stream"


_RANGES = {
    "application/graphql-response+json": Answer.RESPONSE,
    "application/json": Answer.JSON,
    "text/event-stream": Answer.EVENTS,
    # Who names no type gets what clients understood before there was a choice (draft of GraphQL over HTTP).
    "application/*": Answer.JSON,
    "*/*": Answer.JSON,
}
_USUAL = "application/json"
_LONGEST_KEPT = 256  # characters of a header whose meaning is kept


def is_json(content_type: str | None) -> bool:
    """Tell whether a body of this content type is JSON in UTF-8."""
    if content_type is None:
        return False
    if content_type == _USUAL:
        return True
    media_type, parameters = _parse(content_type)
    return media_type == "application/json" and _is_utf8(parameters)


def choose(accept: str | None) -> Answer | None:
    """Return the media type that an `Accept` header likes best, or None when it likes none of ours.

    Among equals the first one counts, since that is how clients write down what they prefer.
    """
    if accept is None or not accept.strip():
        return Answer.JSON
    return _best(accept) if len(accept) <= _LONGEST_KEPT else _best.__wrapped__(accept)


@lru_cache(maxsize=256)
def _best(accept: str) -> Answer | None:
    best: Answer | None = None
    best_weight = 0.0
    for part in accept.split(","):
        media_type, parameters = _parse(part)
        answer = _RANGES.get(media_type)
        weight = _weight(parameters)
        if answer is not None and weight > best_weight and _is_utf8(parameters):
            best, best_weight = answer, weight
    return best


def _parse(value: str) -> tuple[str, dict[str, str]]:
    media_type, *parameters = value.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return media_type.strip().lower(), {name.strip().lower(): text.strip(' "') for name, _, text in pairs}


def _is_utf8(parameters: dict[str, str]) -> bool:
    return parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8"}


def _weight(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0
