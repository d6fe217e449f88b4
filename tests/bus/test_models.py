"""Payloads as dataclasses and pydantic models: what is published is read back as it was."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pydantic.dataclasses
import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field
from pydantic.alias_generators import to_camel

from platform_events.bus.bus import EventBus
from platform_events.bus.event import Event
from platform_events.bus.models import Models
from platform_events.bus.values import PublishStatus
from platform_events.errors import PublishError, UndecodableRecordError, UsageError
from platform_events.settings import Settings
from tests.support import consume_raw, produce_raw

SALE = """
event: Sale_Made__e
fields:
  - {name: order_id, type: string}
  - {name: OrderTotal, type: double}
  - name: color
    type: {type: enum, name: Color, symbols: [RED, GREEN]}
    default: RED
  - name: lines
    type:
      type: array
      items:
        type: record
        name: Line
        fields:
          - {name: unit_price, type: double}
    default: []
"""
SALE_CANCELLED = """
event: Sale_Cancelled__e
fields:
  - {name: order_id, type: string}
  - {name: OrderTotal, type: double}
"""
SALES = """
channel: Sales__chn
members:
  - event: Sale_Made__e
  - event: Sale_Cancelled__e
"""
EVENT, CANCELLED, CHANNEL = "Sale_Made__e", "Sale_Cancelled__e", "Sales__chn"


class Color(enum.Enum):
    RED = "RED"
    GREEN = "GREEN"


class Line(BaseModel):
    unit_price: float

    @computed_field
    def doubled(self) -> float:
        return 2 * self.unit_price


@dataclasses.dataclass
class DataLine:
    unit_price: float


class Plain(BaseModel):
    order_id: str
    order_total: float = Field(alias="OrderTotal")
    color: Color = Color.RED
    lines: list[Line] = []


class ByName(BaseModel):
    """The event has some of the aliases, and of others the names."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")
    order_id: str
    order_total: float = Field(validation_alias="OrderTotal")
    color: Color = Color.RED
    lines: list[Line] = []


class Written(BaseModel):
    model_config = ConfigDict(extra="forbid")
    order_id: str
    total: float = Field(serialization_alias="OrderTotal")
    color: Color = Color.RED
    lines: list[Line] = []


class Read(BaseModel):
    key: str = Field(validation_alias=AliasChoices("orderId", "order_id"))
    total: float = Field(validation_alias="OrderTotal")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    order_id: str
    color: Color = Color.RED
    lines: list[Line]

    @computed_field(alias="OrderTotal")  # type: ignore[prop-decorator]
    @property
    def total(self) -> float:
        return sum(line.unit_price for line in self.lines)

    @computed_field
    def not_in_the_event(self) -> int:
        return len(self.lines)


@pydantic.dataclasses.dataclass
class Checked:
    order_id: str
    total: float = Field(alias="OrderTotal")
    color: Color = Color.RED


@dataclasses.dataclass
class Data:
    order_id: str
    OrderTotal: float
    color: Color
    lines: list[DataLine]


@dataclasses.dataclass
class Aliased:
    order_id: Annotated[str, Field(alias="theId")]
    OrderTotal: float
    lines: list[Line]


INSTANCES = [
    Plain(order_id="A", OrderTotal=2.5, color=Color.GREEN, lines=[Line(unit_price=1.5)]),
    ByName(orderId="A", OrderTotal=2.5),
    Written(order_id="A", total=2.5),
    Read(orderId="A", OrderTotal=2.5),
    Computed(order_id="A", lines=[Line(unit_price=1.5), Line(unit_price=1.0)]),
    Checked(order_id="A", OrderTotal=2.5, color=Color.GREEN),
    Data("A", 2.5, Color.GREEN, [DataLine(1.5)]),
    Aliased("A", 2.5, [Line(unit_price=1.5)]),
]


@pytest.fixture
def define_sales(define: Callable[..., None]) -> None:
    define(SALE, SALE_CANCELLED, SALES)


@pytest.mark.usefixtures("define_sales")
class TestRoundTrip:
    @pytest.mark.parametrize("instance", INSTANCES, ids=lambda one: type(one).__name__)
    def test_what_a_model_publishes_it_reads(self, plain_bus: EventBus, instance: Any) -> None:
        bus = plain_bus
        for publish in (bus.publish, lambda *args: bus.submit(*args).result(20)):
            assert publish(EVENT, instance).status is PublishStatus.PERSISTED
        (result,) = bus.publish_many(EVENT, [instance])
        assert result.error is None
        read = [event.payload for event in bus.subscribe(EVENT, follow=False)]
        assert {payload["OrderTotal"] for payload in read} == {2.5}
        assert [event.payload for event in bus.subscribe(
            EVENT, follow=False, model=type(instance))] == [instance] * 3  # fmt: skip

    def test_fields_that_are_none_of_the_event_are_refused(self, plain_bus: EventBus) -> None:
        class Surplus(Plain):
            surplus: int = 1

        with pytest.raises(PublishError, match="surplus"):
            plain_bus.publish(EVENT, Surplus(order_id="A", OrderTotal=1.0))


@pytest.fixture
def plain_bus(settings: Settings) -> Any:
    with EventBus(settings) as bus:
        yield bus


class SaleMade(BaseModel):
    order_id: str
    total: float = Field(alias="OrderTotal")


class SaleCancelled(BaseModel):
    order_id: str
    total: float = Field(alias="OrderTotal")


@pytest.mark.usefixtures("define_sales")
class TestSeveralModels:
    def fill(self, bus: EventBus) -> None:
        """Fill the channel as a router does."""
        for name in (CANCELLED, EVENT):
            bus.publish(name, {"order_id": name, "OrderTotal": 1.0})
            (record,) = consume_raw(bus.settings, name, 1)
            produce_raw(bus.settings, CHANNEL, record.value(), record.headers())

    @pytest.mark.parametrize(
        "model",
        [
            SaleMade | SaleCancelled,
            SaleCancelled | SaleMade,
            {EVENT: SaleMade, CANCELLED: SaleCancelled},
            {CANCELLED: SaleCancelled, EVENT: SaleMade, "Not_Yet__e": SaleMade},
        ],
    )
    def test_a_channel_s_events_become_the_models_of_their_types(
        self, plain_bus: EventBus, model: Any
    ) -> None:
        """Whatever the order: the payloads of both events look the same."""
        self.fill(plain_bus)
        events: list[Event[SaleMade | SaleCancelled]] = list(
            plain_bus.subscribe(CHANNEL, follow=False, model=model)
        )
        assert [type(event.payload) for event in events] == [SaleCancelled, SaleMade]
        assert [event.payload.order_id for event in events] == [CANCELLED, EVENT]

    def test_dict_takes_payloads_as_they_are_and_what_has_no_model_is_told(
        self, plain_bus: EventBus
    ) -> None:
        self.fill(plain_bus)
        partial: dict[str, Any] = {EVENT: dict}
        with plain_bus.subscribe(CHANNEL, follow=False, model=partial) as subscription:
            with pytest.raises(UndecodableRecordError, match=f"there is none for {CANCELLED}"):
                next(subscription)
            assert next(subscription).payload["OrderTotal"] == 1.0

    def test_a_union_whose_classes_name_no_event_of_the_channel_is_refused(
        self, plain_bus: EventBus
    ) -> None:
        with pytest.raises(UsageError, match="Plain is not named after one event of the channel"):
            plain_bus.subscribe(CHANNEL, model=SaleMade | Plain)

    def test_in_an_event_s_own_stream_the_payload_decides(self, plain_bus: EventBus) -> None:
        class Large(BaseModel):
            kind: Literal["GREEN"] = Field(alias="color")

        class Small(BaseModel):
            kind: Literal["RED"] = Field(alias="color")

        for color in Color:
            plain_bus.publish(EVENT, {"order_id": "A", "OrderTotal": 1.0, "color": color.value})
        for model in (Small | Large, Annotated[Large | Small, Field(discriminator="kind")]):
            read = list(plain_bus.subscribe(EVENT, follow=False, model=model))  # type: ignore[arg-type]
            assert [type(event.payload) for event in read] == [Small, Large]


@pytest.mark.parametrize(
    "model",
    [
        5, "SaleMade", int, list[SaleMade], SaleMade | None, SaleMade(order_id="A", OrderTotal=1),
        {}, {"nothing": SaleMade}, {CHANNEL: SaleMade}, {EVENT: 5}, {5: SaleMade}, [SaleMade],
    ],
)  # fmt: skip
def test_what_is_no_model_is_a_mistake_of_the_call(model: Any) -> None:
    with pytest.raises(UsageError):
        Models(model)
