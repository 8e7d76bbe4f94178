"""The extension `e2ee`: in its shape, with nothing in it until its source exists."""

import orjson

__all__ = ["encryption_part"]


def encryption_part(*, is_incremental: bool) -> bytes:
    """No keys are known, and nobody's devices changed."""
    part: dict[str, object] = {"device_one_time_keys_count": {}, "device_unused_fallback_key_types": []}
    if is_incremental:
        part["device_lists"] = {"changed": [], "left": []}
    return orjson.dumps(part)
