"""A token bucket: the usual way to limit a rate while permitting short bursts.

The bucket holds at most `capacity` tokens and gains `rate` tokens per second. A call
takes tokens out; when there are not enough, it has to wait. The long-term rate is bounded
by `rate`, and a burst after a pause by `capacity`.

The clock is an argument, so tests need no sleeping.
"""

from dataclasses import dataclass, field
from typing import Callable


@dataclass
class TokenBucket:
    """Limits how many tokens may be spent per second."""

    rate: float
    capacity: float
    clock: Callable[[], float]
    _tokens: float = field(init=False)
    _updated: float = field(init=False)

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.capacity <= 0:
            raise ValueError("rate and capacity must be positive")
        self._tokens = self.capacity
        self._updated = self.clock()

    def _refill(self) -> None:
        # The clock may stand still, but a step backwards must not drain the bucket.
        now = self.clock()
        elapsed = max(0.0, now - self._updated)
        self._tokens = min(self.capacity, self._tokens + elapsed * self.rate)
        self._updated = max(self._updated, now)

    def try_take(self, tokens: float = 1.0) -> float:
        """Takes tokens and returns 0.0, or takes nothing and returns the seconds to wait.

        A request for more tokens than the bucket can ever hold is an error: waiting
        would not help.
        """
        if tokens > self.capacity:
            raise ValueError(f"{tokens} tokens never fit into a bucket of {self.capacity}")
        self._refill()
        if tokens <= self._tokens:
            self._tokens -= tokens
            return 0.0
        return (tokens - self._tokens) / self.rate

    def throttle(self, seconds: float) -> None:
        """Empties the bucket for a while, because the other side said "too many requests".

        One caller's 429 answer then slows down all callers that share this bucket, instead
        of each of them finding out by itself.
        """
        self._refill()
        self._tokens = -seconds * self.rate


def embed_batches(texts, embed, bucket, count_tokens, sleep, batch_tokens_max=8_000):
    """Embeds texts in order, batched by tokens, within the provider's rate limit."""
    batch, batch_tokens = [], 0
    for text in texts:
        tokens = count_tokens(text)
        if batch and batch_tokens + tokens > batch_tokens_max:
            yield from _send(batch, batch_tokens, embed, bucket, sleep)
            batch, batch_tokens = [], 0
        batch.append(text)
        batch_tokens += tokens
    if batch:
        yield from _send(batch, batch_tokens, embed, bucket, sleep)


def _send(batch, batch_tokens, embed, bucket, sleep):
    while (wait := bucket.try_take(batch_tokens)) > 0:
        sleep(wait)
    yield from embed(batch)
