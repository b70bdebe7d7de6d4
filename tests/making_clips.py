"""Small videos that the tests make for themselves; needs PyAV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from making import Bytes, natural


def moving(count: int, width: int, height: int) -> list[Bytes]:
    """Grey frames, uint8 (height, width), of a window that moves over a picture."""
    whole = natural(width + 2 * count, height + count)[..., 1]
    return [np.ascontiguousarray(whole[i : i + height, 2 * i : 2 * i + width]) for i in range(count)]


def save_clip(path: Path, count: int, width: int, height: int) -> Path:
    """H.264 that is nearly lossless, in the studio range that videos have."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", 25, {"crf": "1", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in moving(count, width, height):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode(None))
    return path
