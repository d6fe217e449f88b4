"""Bills orders: a worker with one handler."""

from dataclasses import dataclass

from platform_events import Context, Event, Reject, RetryPolicy, Start, Worker


@dataclass
class Order:
    """What it needs of an `Order_Placed__e`."""

    order_id: str
    amount: float


app = Worker(
    "billing",
    "/event/Order_Placed__e",
    start=Start.EARLIEST,
    retry=RetryPolicy(timeout=10),
)


@app.handler
async def bill(event: Event[Order], context: Context) -> None:
    """Make an invoice of an order; the same one if the event comes again."""
    order = event.payload
    if order.amount < 0:
        raise Reject(f"order {order.order_id} has a negative amount")
    await make_invoice(order, event.event_id)
    context.logger.info("billed order %s", order.order_id)


async def make_invoice(order: Order, number: str) -> None:
    """Stand in for the accounts, which take each number once."""
