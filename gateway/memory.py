"""Takes at the start what memory busy moments will need.

Python's allocator maps memory long before it touches it. Untouched, its pages come one by one, each when a moment is
busier than all before it: the process grows for hours, and each page is a fault that some request waits for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Objects lie in pools of one size: in steps of 16 bytes, up to 512. A pool that is free again serves any size.
STEP, LARGEST = 16, 512
# Objects whose size can be chosen freely, and what that takes beside their contents.
SMALLEST_BYTES, OVERHEAD = 48, 33
# Touched in each size, in bytes: four megabytes in all.
EACH = 128 * 2**10


def reserve() -> list[object]:
    """Touches memory for small objects; what it returns is to be kept, lest that memory be given back."""
    made: list[Sequence[object]] = [
        [object() for _ in range(EACH // STEP)],
        [float(number) for number in range(EACH // (2 * STEP))],
        *([bytes(size - OVERHEAD) for _ in range(EACH // size)] for size in range(SMALLEST_BYTES, LARGEST + 1, STEP)),
    ]
    return [of_a_size[-1] for of_a_size in made]
