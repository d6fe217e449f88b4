"""Works with aiosfpubsub as its users do; prints one JSON document in each line.

Arguments: URL to log in, gRPC port, topic, and what to do:

    describe
    follow PRESET REPLAY_ID
"""

from __future__ import annotations

import asyncio
import json
import sys

import grpc
from aiosfpubsub import Client

URL, PORT, TOPIC, ACTION, *REST = sys.argv[1:]


def tell(**document):
    print(json.dumps(document), flush=True)


def connect():
    client = Client(URL, "me@example.com", "a&b<c", "localhost", int(PORT))
    client.auth()
    return client


def describe(client):
    topic = client.get_topic(TOPIC)
    tell(
        tenant=client.tenant_id,
        instance=f"https://{client.url}",
        schema_id=topic.schema_id,
        can_publish=topic.can_publish,
        can_subscribe=topic.can_subscribe,
        schema=json.loads(client.get_schema_json(topic.schema_id)),
    )


class Follower:
    """Goes on after what it saw when its connection breaks, with another client each time."""

    def __init__(self, preset, replay_id):
        self.preset, self.replay_id = preset, bytes.fromhex(replay_id)

    async def run(self):
        while True:
            client = connect()
            try:
                await client.subscribe(TOPIC, self.preset, self.replay_id, 100, self.take)
            except grpc.aio.AioRpcError as error:
                trailers = dict(error.trailing_metadata() or ())
                tell(
                    status=error.code().name,
                    code=trailers.get("error-code"),
                    verdict=trailers.get("pe-verdict"),
                    text=error.details(),
                )
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    return
            else:
                tell(status="OK")
                return

    def take(self, response, client):
        for received in response.events:
            schema = client.get_schema_json(received.event.schema_id)
            payload = client.decode(schema, received.event.payload)
            self.preset, self.replay_id = "CUSTOM", received.replay_id
            tell(
                order_id=payload["order_id"],
                amount=payload["amount"],
                event_id=received.event.id,
                replay_id=received.replay_id.hex(),
            )
        if not response.events:
            tell(latest=response.latest_replay_id.hex())
            self.preset, self.replay_id = "CUSTOM", response.latest_replay_id


if ACTION == "describe":
    describe(connect())
else:
    asyncio.run(Follower(REST[0], "".join(REST[1:])).run())
