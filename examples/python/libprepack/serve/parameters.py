"""Reading the JSON object of a request member by member: every value is checked, what cannot be done is refused in
a sentence, and what nobody has read at the end is refused too, for it might have changed the result."""
from __future__ import annotations

import difflib
import json
import math
from typing import TYPE_CHECKING, Any, Optional, Union, cast

from .api_errors import ApiError, refused

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

Prompt = Union[str, list[int]]

# These say who asks and how the answer is stored or billed, never what it is.
HARMLESS = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
            "prompt_cache_retention")


def shown(value: object) -> str:
    """A value in a sentence, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:37] + "..."


def parse(data: bytes) -> Body:
    """The object in the bytes of a request. Raises ApiError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body of the request is not JSON: {error}") from None
    if not is_object(value):
        raise ApiError(400, f"the body of the request is {shown(value)}; allowed: a JSON object")
    return Body(value)


class Body:
    """A JSON object that is read member by member. null stands for absence, as in OpenAI's API."""

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members
        self._read: set[str] = set()

    def get(self, name: str) -> Any:
        """The member as it is; None where there is none."""
        self._read.add(name)
        return self._members.get(name)

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number low .. high."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise refused(name, f"{name} is {shown(value)}; allowed: a whole number from {low} to {high}")
        return value

    def optional_integer(self, name: str, low: int, high: int) -> Optional[int]:
        """A whole number low .. high, or None."""
        return None if self.get(name) is None else self.integer(name, low, low, high)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number low .. high."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise refused(name, f"{name} is {shown(value)}; allowed: a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, name: str) -> bool:
        """true or false; false where it is absent."""
        value = self.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise refused(name, f"{name} is {shown(value)}; allowed: true and false")
        return value

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise refused(name, f"{name} is {shown(value)}; allowed: a string")
        return value

    def texts(self, name: str, at_most: int) -> tuple[str, ...]:
        """A string or a list of some, none of them empty."""
        value = self.get(name)
        if value is None:
            return ()
        values: Any = [value] if isinstance(value, str) else value
        if (not is_list(values) or len(values) > at_most
                or not all(isinstance(text, str) and text for text in values)):
            raise refused(name, f"{name} is {shown(value)}; allowed: a string that is not empty, or a list of at most "
                                f"{at_most} of them")
        return tuple(cast("list[str]", values))

    def members(self, name: str) -> dict[str, Any]:
        """An object; an empty one where it is absent."""
        value = self.get(name)
        if value is None:
            return {}
        if not is_object(value):
            raise refused(name, f"{name} is {shown(value)}; allowed: an object")
        return value

    def only(self, name: str, *allowed: object, why: str) -> None:
        """Refuses a member that is neither absent nor one of the values that change nothing."""
        value = self.get(name)
        if value is None:
            return
        if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
            harmless = ", ".join(shown(one) for one in allowed)
            raise refused(name, f"{name} is {shown(value)}, and {why}; allowed: to leave it away"
                                f"{' or ' + harmless if harmless else ''}", "unsupported")

    def finish(self) -> None:
        """Refuses the first member that nobody has read."""
        for name in self._members:
            if name in self._read or name in HARMLESS or self._members[name] is None:
                continue
            near = difflib.get_close_matches(name, self._read, 1)
            hint = f"; did you mean {near[0]}" if near else ""
            raise refused(name, f"{name} is no parameter of this endpoint{hint}; allowed: "
                                f"{', '.join(sorted(self._read))}", "unknown_parameter")


def sampling_seed(body: Body) -> Optional[int]:
    """The seed, as the library takes it: 64 bits without a sign."""
    seed = body.optional_integer("seed", -(1 << 63), (1 << 64) - 1)
    return None if seed is None else seed % (1 << 64)


def prompts(body: Body, name: str, at_most: int) -> list[Prompt]:
    """A string, a list of strings, a list of token ids, or a list of such lists."""
    value = body.get(name)
    if value is None:
        raise refused(name, f"{name} is missing; allowed: {ALLOWED_PROMPTS}", "missing_parameter")
    if isinstance(value, str):
        return [value]
    if not is_list(value) or not value:
        raise refused(name, f"{name} is {shown(value)}; allowed: {ALLOWED_PROMPTS}")
    values = value
    if is_id(values[0]):
        values = [values]
    if len(values) > at_most:
        raise refused(name, f"{name} has {len(values)} entries; allowed: at most {at_most} in a request")
    for i, one in enumerate(values):
        if not isinstance(one, type(values[0])) or not is_prompt(one):
            raise refused(name, f"{name}, entry {i}, is {shown(one)}; allowed: {ALLOWED_PROMPTS}")
    return cast("list[Prompt]", values)


ALLOWED_PROMPTS = "a string, a list of strings, a list of token ids, or a list of such lists"


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a list of JSON, of anything."""
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object of JSON."""
    return isinstance(value, dict)


def is_id(value: object) -> bool:
    """Whether it is a whole number, true and false being none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_prompt(value: object) -> bool:
    """A text, or ids, at least one."""
    if isinstance(value, str):
        return True
    return is_list(value) and bool(value) and all(is_id(one) for one in value)


def finite(value: float) -> float:
    """A log-probability that JSON can say: -inf becomes the most negative number that clients expect."""
    return value if math.isfinite(value) else -9999.0
