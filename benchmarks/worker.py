"""One measurement in a process of its own: a job as JSON on stdin, its result as JSON on stdout.

Started by `benchmarks.runner`, so that every measurement has clean memory and clean imports. A
job that talks to its parent while it runs prints lines before the last one, which is its result.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main() -> None:
    """Run the function that the job names, and print what it returns."""
    job = json.loads(sys.stdin.readline())
    module, name = job.pop("function").split(":")
    result = getattr(import_module(module), name)(**job)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
