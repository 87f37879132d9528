"""When a call is repeated, and how long it waits before.

A call is repeated after 429, 502, 503 and broken connections, if repeating it does no harm. The
wait is what the server asks for, else it doubles, with jitter. Tries and the deadline bound it.
"""

from __future__ import annotations

import enum
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from .errors import (
    ConnectionFailedError,
    ContextureError,
    DeadlineExceededError,
    RateLimitedError,
    UnavailableError,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently calls are repeated. ``tries_max=1`` repeats nothing."""

    tries_max: int = 5
    backoff_seconds: float = 0.2
    backoff_seconds_max: float = 10.0

    def __post_init__(self) -> None:
        if self.tries_max < 1:
            raise ValueError("tries_max is at least 1")


class Repeat(enum.Enum):
    """Whether a call may be sent again when nobody knows whether it was done."""

    SAFE = "safe"
    ONLY_IF_NOTHING_HAPPENED = "only_if_nothing_happened"


# The request never left: repeating is safe for every call.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Attempts:
    """The tries of one call, counted against its policy and its deadline."""

    def __init__(
        self,
        repeat: Repeat,
        policy: RetryPolicy,
        timeout: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._repeat = repeat
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._timeout = timeout
        self._deadline = None if timeout is None else clock() + timeout
        self._failed = 0

    def remaining(self) -> float | None:
        """Returns the seconds that are left, at least a millisecond; None: no deadline."""
        if self._deadline is None:
            return None
        return max(0.001, self._deadline - self._clock())

    def progressed(self) -> None:
        """Starts the count anew, because something was received."""
        self._failed = 0
        if self._timeout is not None:
            self._deadline = self._clock() + self._timeout

    def after_failure(self, cause: httpx.TransportError) -> float:
        """Returns the seconds to wait after a broken connection, or raises."""
        out_of_time = self._deadline is not None and self._clock() >= self._deadline
        error: ContextureError
        if isinstance(cause, httpx.TimeoutException) and out_of_time:
            error = DeadlineExceededError(
                f"no answer within {self._timeout} s", code="deadline_exceeded"
            )
        else:
            told = str(cause) or type(cause).__name__
            error = ConnectionFailedError(f"connection failed: {told}", code="connection_failed")
        safe = self._repeat is Repeat.SAFE or isinstance(cause, _NEVER_SENT)
        if out_of_time or not safe:
            raise error from cause
        return self._wait(error, cause)

    def after_refusal(self, error: ContextureError) -> float:
        """Returns the seconds to wait after this answer, or raises it."""
        # 429 means that nothing was accepted; 503 leaves it open.
        again = isinstance(error, RateLimitedError) or (
            isinstance(error, UnavailableError) and self._repeat is Repeat.SAFE
        )
        if not again:
            raise error
        return self._wait(error, None)

    def _wait(self, error: ContextureError, cause: BaseException | None) -> float:
        self._failed += 1
        if self._failed >= self._policy.tries_max:
            raise error from cause
        seconds = self._backoff(error.retry_after)
        if self._deadline is not None and self._clock() + seconds >= self._deadline:
            raise error from cause
        return seconds

    def _backoff(self, asked: float | None) -> float:
        if asked is not None:
            # Never sooner than asked; a little later, so that callers do not return all at once.
            return asked * (1 + self._jitter() / 4)
        # The exponent is bounded, or it overflows after a thousand tries.
        grown = self._policy.backoff_seconds * 2.0 ** min(self._failed - 1, 60)
        return min(grown, self._policy.backoff_seconds_max) * (1 + self._jitter()) / 2
