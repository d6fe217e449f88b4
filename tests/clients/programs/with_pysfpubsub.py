"""Works with pysfpubsub as its users do; prints one JSON document in each line.

Arguments: URL to log in, gRPC port, topic, and what to do:

    describe
    publish COUNT
    follow PRESET REPLAY_ID
"""

from __future__ import annotations

import json
import sys
import time

import grpc
from pysfpubsub import Client

URL, PORT, TOPIC, ACTION, *REST = sys.argv[1:]
BATCH = 200


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
        instance=client.url,
        schema_id=topic.schema_id,
        can_publish=topic.can_publish,
        can_subscribe=topic.can_subscribe,
        schema=json.loads(client.get_schema_json(topic.schema_id)),
    )


def publish(client, count):
    topic = client.get_topic(TOPIC)
    schema = client.get_schema_json(topic.schema_id)

    def event(number):
        now = int(time.time() * 1000)
        payload = {
            "CreatedDate": now, "CreatedById": "me", "order_id": f"A-{number}",
            "amount": number / 4, "note": None,
        }  # fmt: skip
        return client.format_payload(schema, topic.schema_id, payload)

    for first in range(0, count, BATCH):
        answer = client.publish(TOPIC, [event(n) for n in range(first, min(first + BATCH, count))])
        for result in answer.results:
            tell(
                error=result.error.msg,
                replay_id=result.replay_id.hex(),
                event_id=result.correlation_key,
            )
    refused = client.publish(TOPIC, [{"schema_id": topic.schema_id, "payload": b"nonsense"}])
    tell(error=refused.results[0].error.msg, replay_id=refused.results[0].replay_id.hex())


class Follower:
    """Goes on after what it saw when its connection breaks, with another client each time."""

    def __init__(self, preset, replay_id):
        self.preset, self.replay_id = preset, bytes.fromhex(replay_id)

    def run(self):
        while True:
            client = connect()
            try:
                client.subscribe(TOPIC, self.preset, self.replay_id, 100, self.take)
            except grpc.RpcError as error:
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
        if response.pending_num_requested == 0:
            client.release_subscription_semaphore()


if ACTION == "describe":
    describe(connect())
elif ACTION == "publish":
    publish(connect(), int(REST[0]))
else:
    Follower(REST[0], "".join(REST[1:])).run()
