"""What can be registered as a handler, what it then gets, and what is said about the rest."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, Field

from platform_events import Context, Event, UsageError, Worker
from platform_events.catalog.state import Entry
from platform_events.definitions.model import ChannelDefinition, EventDefinition, Member
from platform_events.definitions.schema import Schema
from tests.workers.events import make_context, make_event

if TYPE_CHECKING:
    from nowhere import Unimportable

EVENT = "Order_Placed__e"
CHANNEL = "Fulfillment__chn"
MEMBERS = ("Order_Cancelled__e", "Order_Placed__e")


class Order(BaseModel):
    order_id: str


class Cancelled(BaseModel):
    order_id: str


def worker(stream: str = EVENT, **options: Any) -> Worker:
    return Worker("billing", stream, **options)


def registered(function: Any, stream: str = EVENT, **options: Any) -> Worker:
    app = worker(stream, **options)
    assert app.handler(function) is function
    return app


def entry(name: str = CHANNEL, *members: str) -> Entry:
    """Return what the catalog says of a stream."""
    definition: Any
    if members:
        definition = ChannelDefinition(name, tuple(Member(one) for one in members), 1)
    else:
        avro = {"type": "record", "name": name, "fields": []}
        definition = EventDefinition(name, Schema.from_normal(avro))
    return Entry(name, "default", definition, definition)


def call(app: Worker, event: Any = None) -> None:
    """Call the handler of an event as who runs a worker does."""
    spec = app.handlers.find(EVENT)
    assert spec is not None
    event = event or make_event()
    result = spec.function(event, make_context(event))
    if spec.is_async:
        asyncio.run(result)


class Bill:
    """Several ways to write a handler."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def with_context(self, event: Event, context: Context) -> None:
        self.seen.append((event, context.attempt))

    async def alone(self, event: Event) -> None:
        self.seen.append((event, 1))

    def plain(self, event: Event, context: Context) -> None:
        self.seen.append((event, context.attempt))

    def plain_alone(self, event: Event) -> None:
        self.seen.append((event, 1))

    def optional(self, event: Event, context: Context | None = None) -> None:
        assert context is not None
        self.seen.append((event, context.attempt))

    def asked_for(self, event: Event, told: Context | None = None) -> None:
        self.optional(event, told)

    def own_default(self, event: Event, rate: float = 1.5) -> None:
        assert rate == 1.5
        self.seen.append((event, 1))

    def any_number(self, *arguments: Any) -> None:
        event, context = arguments
        self.seen.append((event, context.attempt))

    async def __call__(self, event: Event, context: Context) -> None:
        self.seen.append((event, context.attempt))

    def bound(self, rate: float, event: Event, context: Context) -> None:
        assert rate == 2.0
        self.seen.append((event, context.attempt))

    def with_database(self, event: Event, *, database: str) -> None:
        assert database == "db"
        self.seen.append((event, 1))


WAYS: dict[str, Callable[[Bill], Any]] = {
    "async": lambda bill: bill.with_context,
    "async, event only": lambda bill: bill.alone,
    "sync": lambda bill: bill.plain,
    "sync, event only": lambda bill: bill.plain_alone,
    "optional context": lambda bill: bill.optional,
    "context by its annotation": lambda bill: bill.asked_for,
    "default of its own": lambda bill: bill.own_default,
    "any arguments": lambda bill: bill.any_number,
    "object": lambda bill: bill,
    "lambda": lambda bill: lambda event: bill.seen.append((event, 1)),
    "partial": lambda bill: functools.partial(bill.bound, 2.0),
    "partial with a keyword": lambda bill: functools.partial(bill.with_database, database="db"),
    "partial of a coroutine function": lambda bill: functools.partial(bill.with_context),
    "decorated": lambda bill: logged(bill.plain),
    "decorated coroutine function": lambda bill: logged(bill.with_context),
}
ASYNC = {"async", "async, event only", "object", "partial of a coroutine function",
         "decorated coroutine function"}  # fmt: skip


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def log(*arguments: Any) -> Any:
        return function(*arguments)

    return log


class TestFunctions:
    @pytest.mark.parametrize("way", WAYS)
    def test_each_way_is_called_with_what_it_takes(self, way: str) -> None:
        bill = Bill()
        app = registered(WAYS[way](bill))
        event = make_event()
        call(app, event)
        assert bill.seen == [(event, 1)]
        spec = app.handlers.find(EVENT)
        assert spec is not None
        assert spec.is_async is (way in ASYNC)
        assert not spec.takes_list

    def test_the_decorator_has_all_its_forms(self) -> None:
        for register in (
            lambda app: app.handler,
            lambda app: app.handler(),
            lambda app: app.handler(EVENT),
            lambda app: app.handler(type=EVENT, model=dict),
        ):
            app = worker()
            assert register(app)(print) is print
            assert app.handlers.find(EVENT) is not None

    def test_a_plain_function_that_returns_a_coroutine_fails(self) -> None:
        bill = Bill()

        def handle(event: Event, context: Context) -> Any:
            return bill.with_context(event, context)

        app = registered(handle)
        with pytest.raises(TypeError, match=r"test_handlers.py:\d+.*nobody awaits.*async def"):
            call(app)
        assert bill.seen == []


def bill_at_the_top(event: Event[Order]) -> None: ...


def local_model() -> Worker:
    class Local(BaseModel):
        order_id: str

    app = worker()

    @app.handler
    async def bill(event: Event[Local]) -> None: ...

    return app


def model_of(app: Worker, type_: str = EVENT) -> Any:
    spec = app.handlers.find(type_)
    assert spec is not None
    return spec.model


class TestAnnotations:
    def test_a_model_is_taken_from_the_annotation(self) -> None:
        async def bill(event: Event[Order], context: Context) -> None: ...

        assert model_of(registered(bill)) is Order

    def test_a_model_that_only_a_function_knows_is_found(self) -> None:
        assert model_of(local_model()).__name__ == "Local"

    def test_a_model_of_an_enclosing_function_is_found(self) -> None:
        @dataclass
        class Closed:
            order_id: str

        def make() -> Callable[..., Any]:
            def bill(event: Event[Closed]) -> None:
                assert Closed

            return bill

        assert model_of(registered(make())) is Closed

    def test_names_of_who_registers_it_are_not_its_own(self) -> None:
        def register(Order: int) -> Worker:  # noqa: N803
            return registered(bill_at_the_top)

        assert model_of(register(Order=5)) is Order

    def test_that_of_the_decorator_wins(self) -> None:
        app = worker()

        @app.handler(model=Cancelled)
        async def bill(event: Event[Order]) -> None: ...

        assert model_of(app) is Cancelled

    def test_names_that_only_type_checkers_import_do_with_a_model(self) -> None:
        app = worker(batch_size=2)

        @app.handler(model=Order)
        async def bill(events: Sequence[Event[Unimportable]]) -> None: ...

        assert model_of(app) is Order
        assert app.handlers.find(EVENT).takes_list  # type: ignore[union-attr]

    def test_event_itself_need_not_be_imported(self) -> None:
        names: dict[str, Any] = {"Order": Order}
        exec(
            "from __future__ import annotations\n"
            "def bill(events: Sequence[Event[Order]], context: Context): ...",
            names,
        )
        app = registered(names["bill"], batch_size=2)
        assert model_of(app) is Order

    @pytest.mark.parametrize(
        "annotation",
        [
            Event,
            Event[Any],
            Event[dict],
            Event[dict[str, Any]],
            Event[Mapping[str, Any]],
            Any,
            object,
        ],
    )
    def test_payloads_stay_dicts(self, annotation: Any) -> None:
        def bill(event): ...

        bill.__annotations__["event"] = annotation
        app = registered(bill)
        assert model_of(app) is None
        assert app.handlers.models([EVENT]) is None

    @pytest.mark.parametrize(
        ("annotation", "model"),
        [
            (list, None),
            (list[Any], None),
            (list[Event], None),
            (Sequence[Event[Order]], Order),
            (list["Event[Order]"], Order),  # type: ignore[type-arg]
            ("list[Event['Order']]", Order),
            (Annotated[list[Event[Order]], "why"], Order),
        ],
    )
    def test_lists_are_taken(self, annotation: Any, model: Any) -> None:
        def bill(events): ...

        bill.__annotations__["events"] = annotation
        app = registered(bill, batch_size=10)
        assert app.handlers.find(EVENT).takes_list  # type: ignore[union-attr]
        assert model_of(app) is model

    def test_a_union_may_say_how_it_is_told_apart(self) -> None:
        class A(BaseModel):
            kind: str

        def bill(event: Event[Annotated[Order | A, Field(description="x")]]) -> None: ...

        models = registered(bill).handlers.models([EVENT])
        assert models is not None
        assert models.converter(EVENT)({"kind": "a"}) == A(kind="a")


class TestWhatIsRefused:
    """Each by one line that says where the handler is."""

    @staticmethod
    def said(function: Any, *arguments: Any, app: Worker | None = None, **options: Any) -> str:
        app = app or worker()
        register = app.handler(*arguments, **options) if arguments or options else app.handler
        with pytest.raises(UsageError) as caught:
            register(function)
        text = str(caught.value)
        assert "\n" not in text
        return text

    def place(self, function: Any) -> str:
        return rf"tests/workers/test_handlers\.py:{function.__code__.co_firstlineno}: handler "

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("def f(): ...", r"f takes no argument: write it as \(event, context\) or \(event\)"),
            ("def f(a, b, c): ...", "f needs 3 arguments: .*functools.partial"),
            ("def f(self, event, context): ...", r"method of an instance.*app\.handler\(billing"),
            ("def f(event, *, database): ...", "needs the keyword argument database"),
            ("def f(event): yield", "has a yield"),
            ("async def f(event): yield", "has a yield"),
            ("class f: ...", r"f is a class: .*@app\.handler\(model=f\)"),
            ("def f(event: dict): ...", r"f takes dict: annotate .* Event\[\.\.\.\], or list"),
            ("def f(event: Event[int]): ...", "f has no usable model: .*dataclass"),
            ("def f(event: Event | None): ...", "annotate its first parameter"),
            ("def f(event: 'Event['): ...", r"f has an annotation that cannot be read, 'Event\['"),
            ("def f(event: 'Event[Absent]'): ...", "Absent, which is not known.*TYPE_CHECKING"),
            ("def f(event: 'absent.Event'): ...", r"absent\.Event, which is not known"),
            ("def f(event: list[Event]): ...", "f takes a list.*batch_size above 1"),
        ],
    )
    def test_a_function_that_cannot_handle_events(self, source: str, says: str) -> None:
        names: dict[str, Any] = {"Event": Event}
        exec(compile(source, "/apps/billing.py", "exec", dont_inherit=True), names)
        text = self.said(names["f"])
        line = r"/apps/billing\.py:1" if "class" not in source else r"test_handlers\.py:\d+"
        assert re.search(line + ": handler f ", text)
        assert re.search(says, text)

    def test_what_is_no_function(self) -> None:
        assert "@app.handler" in self.said(5)
        assert "does not show what it takes" in self.said(max)

    def test_a_second_one_for_the_same_events_names_both(self) -> None:
        def first(event: Event) -> None: ...

        def second(event: Event) -> None: ...

        app = registered(first)
        for arguments in ((), (EVENT,)):
            text = self.said(second, *arguments, app=app)
            assert re.match(self.place(second) + "second is a second one for Order_Placed__e", text)
            assert re.search(f"after .*first at .*:{first.__code__.co_firstlineno}: keep one", text)
        app = registered(first, CHANNEL)
        assert "second one for all types" in self.said(second, app=app)
        app.handler(EVENT)(second)
        assert f"second one for {EVENT}" in self.said(first, EVENT, app=app)

    def test_a_type_that_is_none_or_not_in_the_stream(self) -> None:
        def bill(event: Event) -> None: ...

        assert "did you mean Order_Placed__e?" in self.said(bill, "Order_Placed")
        assert "not an event's name: give one" in self.said(bill, "/event/Order_Placed__e")
        assert "has only Order_Placed__e: leave the type out" in self.said(bill, "Order_Moved__e")

    def test_a_model_that_is_none(self) -> None:
        assert "has no usable model" in self.said(lambda event: None, model=5)
        assert "has no usable model" in self.said(lambda event: None, EVENT, model={EVENT: Order})

    def test_no_handler_at_all(self) -> None:
        with pytest.raises(UsageError, match=r"worker billing has no handler: put @app\.handler"):
            worker().check()

    def test_a_size_of_lists_and_nobody_who_takes_any(self) -> None:
        app = registered(lambda event: None, batch_size=4)
        with pytest.raises(UsageError, match=r"batch_size is 4: annotate .*list\[Event"):
            app.check()


class TestStreams:
    def test_each_event_has_its_own_handler_or_that_of_the_others(self) -> None:
        app = worker(CHANNEL)
        names = [app.handler(EVENT)(Bill().alone), app.handler(Bill().plain)]
        found = [app.handlers.find(type_) for type_ in (EVENT, "Order_Cancelled__e", "New__e")]
        assert [spec.name for spec in found if spec] == ["Bill.alone", "Bill.plain", "Bill.plain"]
        assert names
        app.handlers.check_stream(entry(CHANNEL, *MEMBERS))

    def test_a_member_without_a_handler_fails_unless_that_is_wanted(self) -> None:
        for on_unhandled in ("skip", "dead-letter", "fail"):
            app = worker(CHANNEL, on_unhandled=on_unhandled)
            app.handler(EVENT)(print)
            assert app.handlers.find("Order_Cancelled__e") is None
            if on_unhandled != "fail":
                app.handlers.check_stream(entry(CHANNEL, *MEMBERS))
        with pytest.raises(
            UsageError,
            match=r"/event/Fulfillment__chn has Order_Cancelled__e, for which the worker has no "
            r'handler: add @app.handler\("Order_Cancelled__e"\), .* on_unhandled=',
        ):
            app.handlers.check_stream(entry(CHANNEL, *MEMBERS))

    def test_a_type_that_is_no_member_is_refused_or_warned_of(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = worker(CHANNEL)
        app.handler(Bill().alone)

        @app.handler("Order_Cancelle__e")
        def cancel(event: Event) -> None: ...

        with pytest.raises(
            UsageError,
            match=r"test_handlers\.py:\d+: handler .*cancel is for Order_Cancelle__e, which is not "
            r"a member of /event/Fulfillment__chn: .*; did you mean Order_Cancelled__e\?",
        ):
            app.handlers.check_stream(entry(CHANNEL, *MEMBERS))
        assert not caplog.records
        app.handlers.check_stream(entry(CHANNEL, *MEMBERS), {"Order_Cancelle__e"})
        assert "which is not a member of" in caplog.text

    def test_an_event_s_own_stream(self) -> None:
        app = worker()
        app.handler(EVENT)(print)
        app.handlers.check_stream(entry(EVENT))

    def test_models_are_those_of_each_event_s_handler(self) -> None:
        app = worker(CHANNEL, on_unhandled="skip")
        app.handler(EVENT, model=Order)(Bill().alone)
        models = app.handlers.models(MEMBERS)
        assert models is not None
        payload = {"order_id": "A-1"}
        assert models.converter(EVENT)(dict(payload)) == Order(order_id="A-1")
        assert models.converter("Order_Cancelled__e")(dict(payload)) == payload

        @app.handler(model=Cancelled)
        def others(event: Event) -> None: ...

        models = app.handlers.models(MEMBERS)
        assert models is not None
        for type_ in ("Order_Cancelled__e", "New__e"):
            assert models.converter(type_)(dict(payload)) == Cancelled(order_id="A-1")
        assert models.converter(EVENT)(dict(payload)) == Order(order_id="A-1")

    def test_a_union_is_told_apart_by_the_names_of_the_events(self) -> None:
        class OrderPlaced(BaseModel):
            order_id: str

        class OrderCancelled(BaseModel):
            order_id: str

        app = worker(CHANNEL)

        @app.handler
        def handle(event: Event[OrderPlaced | OrderCancelled]) -> None: ...

        models = app.handlers.models(MEMBERS)
        assert models is not None
        made = models.converter("Order_Cancelled__e")({"order_id": "A-1"})
        assert made == OrderCancelled(order_id="A-1")
        with pytest.raises(UsageError, match="model OrderPlaced is not named after one event"):
            app.handlers.check_stream(entry(CHANNEL, "Order_Cancelled__e"))

    def test_a_mapping_may_be_the_model_of_the_others(self) -> None:
        app = worker(CHANNEL)
        app.handler(model={EVENT: Order})(Bill().alone)
        app.handler("Order_Cancelled__e", model=Cancelled)(Bill().plain)
        models = app.handlers.models(MEMBERS)
        assert models is not None
        assert models.converter(EVENT)({"order_id": "A-1"}) == Order(order_id="A-1")
        cancelled = models.converter("Order_Cancelled__e")({"order_id": "A-1"})
        assert cancelled == Cancelled(order_id="A-1")
