"""What a page loads and where it leads."""

from __future__ import annotations

from html.parser import HTMLParser


class Links(HTMLParser):
    """The addresses in a page: `loaded` by the browser itself, `led_to` by its reader; and its `inline` code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.led_to: list[str] = []
        self.inline: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "a":
            self.led_to.append(given.get("href") or "")
        elif given.get("src") or given.get("href"):
            self.loaded.append(given.get("src") or given.get("href") or "")
        elif tag in ("script", "style"):
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def assert_our_own(page: str) -> Links:
    """Fails unless a page loads only this server's files, and runs no code of its own text."""
    links = Links(page)
    assert links.loaded
    for address in (*links.loaded, *links.led_to):
        assert address.startswith("/"), address
        assert not address.startswith("//"), address
    assert links.inline == []
    return links
