"""The items of a page: read at once if they are as documented, else field by field."""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeGuard, TypeVar, get_args

import msgspec

from pipelines.http.bodies import TOO_DEEP, check_depth, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

Fields = dict[str, Any]
# A float would hold less of a larger one.
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Number = Integer | float

NOTHING: Fields = {}
SEPARATORS = re.compile(r"[_\W]")
S = TypeVar("S", bound=msgspec.Struct)


class ItemReader(Generic[S]):
    """Reads what a page lists under one key: items that `struct` documents, each with an id.

    `envelope` is the struct of the page around them, generic in them; `prompt_fields` are the paths
    of what is left out of the undocumented by default.
    """

    def __init__(
        self,
        struct: type[S],
        envelope: Any,  # noqa: ANN401 - a generic struct is no type that can be named
        key: str,
        prompt_fields: Sequence[str] = (),
    ) -> None:
        self.struct = struct
        self._key = key
        self._prompts = [path.split(".") for path in prompt_fields]
        self._open_fields = _list_open_fields(struct)
        self._decode_documented = msgspec.json.Decoder(envelope[struct]).decode
        self._decode_any = msgspec.json.Decoder(envelope[Any]).decode
        self._decode_items = _decoder(key, list[struct] | None)  # type: ignore[valid-type]
        self._decode_raw_items = _decoder(key, list[msgspec.Raw] | None)
        self._decode_raw = _decoder(key, msgspec.Raw)
        self._decode_item = msgspec.json.Decoder(struct).decode

    def read_page(self, body: bytes) -> tuple[Any, list[str], str | None]:
        """Return a page's envelope, the ids of its items, and where the first without one is.

        Raises ValueError that says what is wrong if the body is no page.
        """
        try:
            try:
                page = self._decode_documented(body)
            except ValueError:
                page = self._decode_any(body)
                items = getattr(page, self._key) or []
                check_depth(items)
                return page, *self._find_ids(items)
            items = getattr(page, self._key) or []
            self._check_depth(items)
        except RecursionError:
            raise ValueError(TOO_DEEP) from None
        return page, [item.id for item in items], None

    def read_items(self, body: bytes, *, keep_prompts: bool) -> list[tuple[S, Fields]]:
        """Return the items of a page's body, each with what no field of the struct can hold.

        What has no id is left to `read_page` to report. Raises ValueError if the body is no
        page.
        """
        try:
            listed = getattr(self._decode_items(body), self._key) or []
            items = [(item, NOTHING) for item in listed]
        except msgspec.ValidationError:
            items = list(self._read_odd_items(body, keep_prompts=keep_prompts))
        self._check_depth([item for item, _ in items])
        check_depth([extra for _, extra in items if extra])
        return items

    def raw_items(self, body: bytes) -> bytes | msgspec.Raw:
        """Return of a page's body the items alone, as they came; a body that is no page, whole."""
        try:
            raw: msgspec.Raw = getattr(self._decode_raw(body), self._key)
        except (ValueError, RecursionError):
            return body
        return raw

    def split_items(self, body: bytes) -> Sequence[msgspec.Raw]:
        """Return each item of a page as it came. Raises ValueError if it is none."""
        raws: Sequence[msgspec.Raw] = getattr(self._decode_raw_items(body), self._key) or []
        return raws

    def join_items(self, items: Iterable[bytes]) -> bytes:
        """Return items as the body of a page that lists them alone."""
        return b'{"%s":[%s]}' % (self._key.encode(), b",".join(items))

    def describe(self) -> tuple[Any, ...]:
        """Return what is read of an item: its key, its fields with types, and what is left out."""
        return self._key, describe_fields(self.struct), self._prompts

    def _check_depth(self, items: Sequence[S]) -> None:
        if self._open_fields:
            # With the id: of one name alone attrgetter gives the value and no tuple.
            values = chain.from_iterable(map(attrgetter("id", *self._open_fields), items))
            check_depth([[value for value in values if type(value) is dict]])

    def _find_ids(self, items: Sequence[Any]) -> tuple[list[str], str | None]:
        faults = [
            f"{self._key}[{index}] is {quote(item)}, which has no id"
            for index, item in enumerate(items)
            if not has_id(item)
        ]
        return [item["id"] for item in items if has_id(item)], faults[0] if faults else None

    def _read_odd_items(self, body: bytes, *, keep_prompts: bool) -> Iterator[tuple[S, Fields]]:
        for raw in getattr(self._decode_raw_items(body), self._key) or []:
            try:
                yield self._decode_item(raw), NOTHING
            except msgspec.ValidationError:
                # It holds more, or something else, than is documented: field by field, then.
                fields = msgspec.json.decode(raw)
                if has_id(fields):
                    item, extra = split(fields, self.struct)
                    for path in () if keep_prompts else self._prompts:
                        _remove(extra, path)
                    yield item, extra


def has_id(value: object) -> TypeGuard[Fields]:
    """Whether a JSON value is an object with an id."""
    return isinstance(value, dict) and isinstance(value.get("id"), str) and value["id"] != ""


def split(fields: Fields, struct: type[S]) -> tuple[S, Fields]:
    """Return what fits the struct, and all the rest under the path it had."""
    fitting: Fields = {}
    rest: Fields = {}
    types = _types(struct)
    for name, value in fields.items():
        kind, inner = types.get(name, (None, None))
        if inner and isinstance(value, dict):
            fitting[name], left = split(value, inner)
            if left:
                rest[name] = left
        elif kind is not None and _fits(value, kind):
            fitting[name] = value
        elif value is not None and value != {}:
            rest[name] = value
    return msgspec.convert(fitting, struct), rest


@cache
def _types(struct: type[msgspec.Struct]) -> dict[str, tuple[Any, type[msgspec.Struct] | None]]:
    """Return field -> its type, and the struct that it may hold."""
    return {
        field.name: (field.type, next(filter(_is_struct, get_args(field.type)), None))
        for field in msgspec.structs.fields(struct)
    }


def describe_fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return field -> its type as text, or the fields of the struct that it may hold."""
    return {
        name: [str(kind), describe_fields(inner)] if inner else str(kind)
        for name, (kind, inner) in _types(struct).items()
    }


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type(msgspec.Struct))


def _list_open_fields(struct: type[msgspec.Struct]) -> list[str]:
    """Return the fields that may hold an object of any shape."""
    return [name for name, (kind, _) in _types(struct).items() if Fields in get_args(kind)]


def _fits(value: object, kind: object) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _remove(fields: Fields, path: Sequence[str]) -> None:
    """Remove what lies at a path of objects, if anything does."""
    name, *rest = path
    inner = fields.get(name)
    if not rest:
        fields.pop(name, None)
    elif isinstance(inner, dict):
        _remove(inner, rest)


def without_fields(value: Any, names: Collection[str]) -> Any:  # noqa: ANN401 - any JSON
    """Return a JSON value without the fields of these names, at any depth.

    Names are in small letters without separators: a field is meant in any spelling, such as
    `environment_variables`, `environmentVariables` or `Environment-Variables`.
    """
    if isinstance(value, dict):
        return {
            name: without_fields(inner, names)
            for name, inner in value.items()
            if SEPARATORS.sub("", name).lower() not in names
        }
    if isinstance(value, list):
        return [without_fields(inner, names) for inner in value]
    return value


def _decoder(key: str, kind: object) -> Callable[[bytes], Any]:
    """Return what reads of a page its list of items alone."""
    return msgspec.json.Decoder(msgspec.defstruct("Items", [(key, kind)])).decode
