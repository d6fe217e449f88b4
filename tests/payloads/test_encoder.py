"""Payloads as a whole: records, what they lack and what they have too many."""

from __future__ import annotations

import collections
import gc
import linecache
import threading
import traceback
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import pytest

from platform_events.errors import PayloadError
from platform_events.payloads.codec import DecodeError, PayloadDecoder, PayloadEncoder
from tests.payloads.expectations import record
from tests.payloads.samples import TEXTS, refuse, round_trip


class Order(dict[str, Any]):
    """A mapping of somebody's own."""


ITEM = {
    "type": "record",
    "name": "Item",
    "fields": [
        {"name": "price", "type": "double"},
        {"name": "amount", "type": "int", "default": 1},
    ],
}


SHOP = {
    "type": "record",
    "name": "Order_Placed__e",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "items", "type": {"type": "array", "items": ITEM}},
        {"name": "first", "type": ["null", "Item"], "default": None},
        {"name": "by_sku", "type": {"type": "map", "values": "Item"}, "default": {}},
    ],
}


FITTING = {"order_id": "A-1", "items": [{"price": 1.5}]}


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"items": [{"price": 1}, {"price": 2}, {"price": "3"}]}, "items[2].price", "number"),
        ({"items": [FITTING]}, "items[0].order_id", "no such field"),
        ({"items": [{"prise": 1}]}, "items[0].prise", "did you mean price?"),
        ({"items": [{}]}, "items[0].price", "missing"),
        ({"items": [None]}, "items[0]", "mapping of fields"),
        ({"items": [[("price", 1)]]}, "items[0]", "mapping of fields"),
        ({"first": {"price": None}}, "first.price", "number"),
        ({"first": {"-type": "Item", "price": 1}}, 'first["-type"]', "no such field"),
        ({"first": ("Item", {"price": 1})}, "first", "mapping of fields"),
        ({"by_sku": {"a.b": {"price": "1"}}}, 'by_sku["a.b"].price', "number"),
        ({"by_sku": {5: {"price": 1}}}, "by_sku[5 (int)]", "as a key"),
        ({"by_sku": {"\ud800": {"price": 1}}}, 'by_sku["\\ud800"]', "as a key"),
        ({"amout": 1}, "amout", "no such field"),
        ({"order_ID": 1}, "order_ID", "did you mean order_id?"),
        ({5: 1}, "[5 (int)]", "field names are text"),
        ({"": 1}, '[""]', "no such field"),
        ({"two\nlines": 1}, '["two\\nlines"]', "no such field"),
        ({"x" * 10**5: 1}, f'["{"x" * 40}"]', "no such field"),
    ],
)
def test_the_path_names_the_place(change: dict[Any, Any], path: str, reason: str) -> None:
    error = refuse(SHOP, {**FITTING, **change})
    assert error.path == path
    assert reason in str(error)


def test_an_unknown_field_does_not_stand_in_for_a_missing_one() -> None:
    whole = {**FITTING, "first": None, "by_sku": {}}
    round_trip(SHOP, whole)
    for name in whole:
        others = {key: value for key, value in whole.items() if key != name}
        assert refuse(SHOP, {**others, "unknown": 1}).path == "unknown"


@pytest.mark.parametrize("payload", [None, [], "text", 5, [("order_id", "A-1")]])
def test_a_payload_is_a_mapping(payload: Any) -> None:
    error = refuse(SHOP, payload)
    assert error.path == ""
    assert "mapping of fields" in str(error)


@pytest.mark.parametrize(
    "kind", [Order, collections.OrderedDict, MappingProxyType, collections.UserDict]
)
def test_any_mapping_is_a_record(kind: Any) -> None:
    expected = round_trip(SHOP, FITTING)
    nested = {**FITTING, "items": [kind({"price": 1.5})]}
    assert round_trip(SHOP, kind(nested)) == expected


class Fickle(collections.UserDict[str, Any]):
    """A mapping that another thread changes while it is encoded."""

    reads = 0

    def __getitem__(self, key: str) -> Any:
        self.reads += 1
        return "1.5" if self.reads == 1 else 1.5


class Exhausted(collections.UserDict[str, Any]):
    """A mapping in which a look finds no memory, or no stack, left."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(price=1.5)
        self._failure = failure

    def __getitem__(self, key: str) -> Any:
        raise self._failure


@pytest.mark.parametrize("failure", [MemoryError(), RecursionError("too deep")])
def test_what_is_no_fault_of_the_payload_passes(failure: Exception) -> None:
    with pytest.raises(type(failure)) as caught:
        PayloadEncoder(SHOP).encode({**FITTING, "items": [Exhausted(failure)]})
    assert caught.value is failure


def test_what_changes_before_it_is_explained_is_a_payload_error() -> None:
    encoder = PayloadEncoder(SHOP)
    with pytest.raises(PayloadError, match="changed while it was encoded"):
        encoder.encode({**FITTING, "items": [Fickle(price=1.5)]})
    assert encoder.encode(FITTING) == PayloadEncoder(SHOP).encode(FITTING)


class Meddling(collections.UserDict[str, Any]):
    """A mapping during whose reading another thread changes the list that it is in."""

    def __init__(self, change: Callable[[], object]) -> None:
        super().__init__(price=1.5)
        self._change = change

    def __iter__(self) -> Iterator[str]:
        self._change()
        return super().__iter__()


def test_a_list_that_changes_while_it_is_written_is_counted_as_it_was_written() -> None:
    items: list[Any] = [{"price": 0.5}]
    items.append(Meddling(lambda: len(items) < 4 and items.append({"price": 2.5})))
    result = round_trip(SHOP, {**FITTING, "items": items})["items"]
    assert [item["price"] for item in result] == [0.5, 1.5, 2.5]
    items[1:] = [Meddling(items.clear)]
    result = round_trip(SHOP, {**FITTING, "items": items})["items"]
    assert [item["price"] for item in result] == [0.5, 1.5]


def test_a_mapping_that_makes_up_values_lacks_them_all_the_same() -> None:
    payload = collections.defaultdict(str, items=[])
    assert refuse(SHOP, payload).path == "order_id"
    assert list(payload) == ["items"]


def test_a_list_within_itself_is_refused() -> None:
    items: list[Any] = []
    items.append(items)
    assert refuse(record(TEXTS), {"a": items}).path == "a[0]"


def test_one_encoder_serves_many_threads() -> None:
    encoder = PayloadEncoder(SHOP)
    decoder = PayloadDecoder(SHOP)
    wrong: list[Any] = []

    def work(number: int) -> None:
        payload = {"order_id": str(number), "items": [{"price": number}] * number}
        for _ in range(200):
            result = decoder.decode(encoder.encode(payload))
            if result["order_id"] != str(number) or len(result["items"]) != number:
                wrong.append(result)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_tracebacks_show_the_generated_source() -> None:
    encoder, decoder = PayloadEncoder(record(TEXTS)), PayloadDecoder(record(TEXTS))
    files = []
    for function, wrong in ((encoder.encode, {"a": [object()]}), (decoder.decode, b"\2")):
        with pytest.raises((PayloadError, DecodeError)) as caught:
            function(wrong)  # type: ignore[operator]
        (frame,) = (
            frame
            for frame in traceback.extract_tb(caught.tb)
            if frame.filename.startswith("<platform_events ")
        )
        assert frame.filename.startswith(f"<platform_events {frame.name} Sample ")
        assert "error" in (frame.line or "")
        assert f"def {frame.name}(" in "".join(linecache.getlines(frame.filename))
        files.append(frame.filename)
    assert len(set(files)) == 2
    del encoder, decoder, function, caught, frame
    gc.collect()
    assert [linecache.getlines(file) for file in files] == [[], []]
