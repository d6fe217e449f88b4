"""The web application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from platform_events import AsyncEventBus, BrokerError, PublishError


class Order(BaseModel):
    """What a customer sends."""

    order_id: str
    amount: float


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Have one bus for the life of the process."""
    async with AsyncEventBus() as bus:
        app.state.bus = bus
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=201)
async def place_order(order: Order, request: Request) -> dict[str, str]:
    """Publish the order; it is placed when the event is stored.

    After a 503 it may have been stored all the same. The customer sends the order again, with the
    same ID, and whoever reads the events takes each ID once.
    """
    bus: AsyncEventBus = request.app.state.bus
    try:
        await bus.publish("Order_Placed__e", order, event_id=order.order_id)
    except (BrokerError, PublishError) as error:
        raise HTTPException(503, "the order may not be placed: send it again") from error
    return {"order_id": order.order_id}
