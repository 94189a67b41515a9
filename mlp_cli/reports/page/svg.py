"""SVG that Matplotlib drew, as a part of a page that has its own colours and a strict policy.

The policy of the page allows no `style` attributes, so they become attributes of their own. Colours
that stand for those of the page become `var(--…)`, so a drawing follows light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
DECIMALS = re.compile(r"-?\d+\.\d{3,}")
FONT_SIZE = re.compile(r"([\d.]+)px")
REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)")


def inline_svg(drawn: str, name: str, label: str, colours: Mapping[str, str]) -> str:
    """Return a drawing as an element for a page.

    Parameters
    ----------
    drawn
        A whole SVG file, as Matplotlib writes it with `svg.fonttype: none`.
    name
        The start of its identifiers, which must not be those of another drawing on the page.
    label
        What it shows, for those who cannot see it.
    colours
        The names of the page's colours, by the colours that stand for them.
    """
    root = ElementTree.fromstring(drawn)
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(child)
    elements = [*root.iter()]
    for element in elements:
        element.tag = element.tag.removeprefix(SVG)
        if LINK in element.attrib:
            element.set("href", element.attrib.pop(LINK))
        for declaration in element.attrib.pop("style", "").split(";"):
            key, _, value = declaration.partition(":")
            if key.strip() == "font":  # no attribute has all of it; the family is the page's
                key, value = "font-size", FONT_SIZE.findall(value)[0]
            if value:
                element.set(key.strip(), value.strip())
        for key, value in element.attrib.items():
            if value in colours:
                element.set(key, f"var(--{colours[value]})")
            elif DECIMALS.search(value):
                element.set(key, " ".join(DECIMALS.sub(_rounded, value).split()))
    _rename(elements, name)
    box = root.attrib["viewBox"]
    root.attrib = {"class": "chart", "viewBox": box, "role": "img", "aria-label": label}
    return ElementTree.tostring(root, encoding="unicode")


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"


def _rename(elements: list[ElementTree.Element], name: str) -> None:
    """Remove identifiers that nothing refers to, and begin the others with `name`."""
    used = set()
    for element in elements:
        for key, value in element.attrib.items():
            if found := REFERENCE.search(value):
                target = found[1] or found[2]
                used.add(target)
                element.set(key, value.replace(f"#{target}", f"#{name}-{target}"))
    for element in elements:
        identifier = element.attrib.pop("id", None)
        if identifier in used:
            element.set("id", f"{name}-{identifier}")
