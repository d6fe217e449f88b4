"""Hypothesis strategies for definition files."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

from tests.payloads.payload_strategies import BOOLEANS, TEXT, Names, record_schemas

LINE = TEXT.map(lambda text: " ".join(text.split()))
RETENTION = st.sampled_from(["1s", "90s", "15m", "72h", "30d", "1500ms"])


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A valid event document."""
    fields = draw(record_schemas(Names(is_written=True), min_size=1))["fields"]
    event: dict[str, Any] = {"event": draw(st.sampled_from(["A__e", "Order_Placed__e"]))}
    texts = {"label": LINE, "description": TEXT, "owner": LINE, "x-note": TEXT}
    for key, text in (texts | {"retention": RETENTION}).items():
        if draw(BOOLEANS):
            event[key] = draw(text)
    plain = [
        field["name"]
        for field in fields
        if field["type"] in ("string", "int", "long") and not field.get("optional")
    ]
    if plain and draw(BOOLEANS):
        event["partition_key"] = draw(st.sampled_from(plain))
        event["partitions"] = draw(st.integers(1, 1000))
    return event | {"fields": fields}


def as_yaml(document: Any) -> str:
    """Write a document as YAML in the style of JSON, in ASCII."""
    text = json.dumps(document, ensure_ascii=False, indent=1)
    return re.sub(r"[^ -~\n]", lambda found: f"\\U{ord(found[0]):08x}", text)


JSON_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_WORDS = (
    "event fields avro name type items values symbols default optional aliases doc size "
    "logicalType precision scale namespace partitions partition_key retention record enum "
    "fixed array map null string int long double bytes decimal date uuid A__e B__chn 72h 1 "
    "x-y CreatedDate Status << .nan 0x1F NO order"
)
_LIKELY = st.sampled_from(_WORDS.split())
TREES = st.recursive(
    JSON_SCALARS | _LIKELY,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_LIKELY | st.text(max_size=4), inner)
    ),
    max_leaves=25,
)
"""Any JSON-like value, often made of the words of definition files."""
