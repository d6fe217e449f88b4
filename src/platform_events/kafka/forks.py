"""Keeping Kafka clients alive in forked children, where ending one would hang or crash."""

from __future__ import annotations

import ctypes
import os
import weakref

_owners: weakref.WeakSet[object] = weakref.WeakSet()


def protect(owner: object) -> None:
    """Never destroy `owner`, and the client it holds, in a child of this process.

    The client's threads do not exist there, and destroying it would wait for them.
    """
    _owners.add(owner)


def _keep_in_child() -> None:
    for owner in list(_owners):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
    _owners.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_in_child)
