"""How an exported model is served: what a request may hold, and how requests are batched."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """What a request may hold.

    Args: rows: of one request; characters: of one text; body_bytes: of the body.
    """

    rows: int = 256
    characters: int = 20_000
    body_bytes: int = 1 << 20


@dataclass(frozen=True)
class Settings:
    """How requests are batched and limited.

    Args:
        max_batch: requests that are predicted together, at most; 1: each alone.
        wait_ms: that a request waits for others, at most.
        waiting: requests under way at once; as many more wait, and further ones are answered with 503.
        threads: that the model computes with; None: all.
    """

    max_batch: int = 64
    wait_ms: float = 2.0
    waiting: int = 1024
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)
