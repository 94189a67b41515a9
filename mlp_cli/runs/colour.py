"""What a terminal shows: block characters, and colours.

Colours are as https://no-color.org and https://force-color.org describe them.
"""

from __future__ import annotations

import os
from typing import TextIO

RED, YELLOW = 31, 33
BOLD = 1
BLOCKS = " ▁▂▃▄▅▆▇█"  # by eighths of a line


def coloured(text: str, colour: int, stream: TextIO) -> str:
    """Return the text in bold and in a colour, if the stream shows colours."""
    return f"\x1b[{BOLD};{colour}m{text}\x1b[0m" if shows_colours(stream) else text


def shows_colours(stream: TextIO) -> bool:
    """Return whether the stream is a terminal with colours. NO_COLOR and FORCE_COLOR win."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_screen(stream)


def is_screen(stream: TextIO) -> bool:
    """Return whether the stream is a terminal that can move its cursor and show colours."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def shows_blocks(stream: TextIO) -> bool:
    """Return whether the stream is a screen whose encoding has block characters."""
    if not is_screen(stream):
        return False
    try:
        BLOCKS.encode(stream.encoding)
    except UnicodeEncodeError:
        return False
    return True
