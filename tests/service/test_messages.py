"""The messages are those that `pubsub.proto` says."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from platform_events import service


def test_the_compiled_file_is_that_of_the_text(tmp_path: Path) -> None:
    compiled = tmp_path / "compiled"
    with as_file(files(service) / "pubsub.proto") as source:
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{source.parent}"]
        subprocess.run([*command, f"--descriptor_set_out={compiled}", source.name], check=True)
    (compiled_file,) = FileDescriptorSet.FromString(compiled.read_bytes()).file
    kept = files(service).joinpath("pubsub.binpb").read_bytes()
    assert compiled_file.SerializeToString() == kept
