"""The arithmetic of limits: what fits now, and how long until something does.  Pure; times are given, in seconds."""

from __future__ import annotations

from collections import deque

MINUTE = 60.0
# A tokens-a-minute limit lets a sixth of its amount through at once, and the rest evenly: in any minute no more than
# seven sixths of it are admitted.
BURST_SECONDS = 10.0


class SlidingMinute:
    """Counts events so that in any sixty seconds there are never more than allowed."""

    __slots__ = ("times",)

    def __init__(self) -> None:
        self.times: deque[float] = deque()

    def wait(self, limit: int, now: float) -> float:
        """Returns in how many seconds one more fits; 0.0 for now."""
        self.forget(now)
        over = len(self.times) - limit
        return self.times[over] + MINUTE - now if over >= 0 and limit > 0 else (0.0 if limit > 0 else MINUTE)

    def take(self, now: float) -> None:
        """Counts one."""
        self.times.append(now)

    def left(self, limit: int, now: float) -> int:
        """Returns how many more fit now."""
        self.forget(now)
        return max(0, limit - len(self.times))

    def forget(self, now: float) -> None:
        """Drops what is older than a minute."""
        times, oldest = self.times, now - MINUTE
        while times and times[0] <= oldest:
            times.popleft()


class TokenRate:
    """Lets tokens through at an even rate after a burst (the generic cell rate algorithm).

    `due` is when all that was taken so far would have flowed at that rate.
    """

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = 0.0

    def wait(self, limit: int, tokens: int, now: float) -> float:
        """Returns in how many seconds `tokens` fit; more than a burst fit once nothing is owed."""
        if limit <= 0:
            return MINUTE
        room = max(0.0, BURST_SECONDS - tokens * MINUTE / limit)
        return max(0.0, self.due - room - now)

    def take(self, limit: int, tokens: int, now: float) -> None:
        """Counts tokens; a negative number gives back some that were taken before."""
        if limit > 0:
            self.due = (max(self.due, now) if tokens > 0 else self.due) + tokens * MINUTE / limit

    def left(self, limit: int, now: float) -> int:
        """Returns how many tokens fit now."""
        return max(0, int((now + BURST_SECONDS - max(self.due, now)) * limit / MINUTE))
