"""Write the links of README.md as full addresses, for pages that do not have the files beside it.

    python scripts/absolute_links.py ADDRESS REVISION

ADDRESS is that of the repository, as in https://example.org/owner/name; REVISION is a tag or a
commit. PyPI shows README.md as the project's page, and leads a relative link nowhere. The release
workflow calls this before it builds, and does not commit the change.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"

# A link or a picture whose target is a path.
RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")


def absolute(text: str, address: str, revision: str) -> str:
    """Return a page of Markdown with full addresses in place of paths."""

    def link(found: re.Match[str]) -> str:
        mark, name, path = found.groups()
        kind = "raw" if mark else "blob"
        return f"{mark}[{name}]({address}/{kind}/{revision}/{path})"

    return RELATIVE.sub(link, text)


if __name__ == "__main__":
    README.write_text(absolute(README.read_text("utf-8"), *sys.argv[1:]), "utf-8")
