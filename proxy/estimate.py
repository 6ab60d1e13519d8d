"""A guess at how many tokens a prompt has, for when Ollama never says; by the structure of the dialects.

What a field means depends on where it stands: `source` in a content part is a file, in a tool's arguments it is text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# English text has about four characters a token; Ollama guesses with the same number.
CHARACTERS_A_TOKEN = 4
# How many tokens a model makes of an image or a document has nothing to do with the size of its base64.  This is the
# least that today's vision models make of an image.
TOKENS_A_FILE = 256
# What is assumed of a recording whose counts Ollama does not say: models make about 25 tokens of a second, and a second
# has some 25,000 bytes, between those of an MP3 and of uncompressed speech.
TOKENS_A_SECOND = 25
BYTES_A_TOKEN = 1000
MOST_OF_A_RECORDING = 100_000
# Fields of a message, a content part or an item that hold an image, a recording or a document.
FILES = frozenset(
    {
        *("images", "image_url", "image", "input_audio", "audio", "audio_url", "video", "video_url"),
        *("file", "file_data", "file_url", "source", "data"),
    }
)
# Fields that hold messages, parts or items again; everything else is text, or an object of any form.
NESTED = frozenset({"content", "output", "summary"})
# Fields that no model reads.
OPAQUE = frozenset({"signature", "encrypted_content"})


class Prompt:
    """What was found in a prompt so far."""

    __slots__ = ("characters", "files")

    def __init__(self) -> None:
        self.characters = 0
        self.files = 0

    @property
    def tokens(self) -> int:
        """About how many tokens that is."""
        return tokens_of(self.characters) + TOKENS_A_FILE * self.files

    def add(self, value: Any) -> None:
        """Adds a text, or messages, parts or items."""
        if isinstance(value, str):
            self.characters += len(value)
        elif isinstance(value, list):
            for item in value:
                self.add(item)
        elif isinstance(value, dict):
            self.add_object(value)

    def add_object(self, value: dict[str, Any]) -> None:
        """Adds a message, a part or an item."""
        for name, inner in value.items():
            if name in FILES:
                self.add_file(name, inner)
            elif isinstance(inner, str):
                if name not in OPAQUE:
                    self.characters += len(inner)
            elif name in NESTED:
                self.add(inner)
            elif is_file(name, inner, value.get("type")):
                self.files += 1
            else:
                self.add_text(inner)

    def add_file(self, name: str, value: Any) -> None:
        """Adds what stands in a field for files."""
        if name == "images" and isinstance(value, list):
            self.files += len(value)
        elif name == "source" and isinstance(value, str):
            self.characters += len(value)  # where a search result comes from
        elif name == "source" and isinstance(value, dict) and value.get("type") in ("text", "content"):
            self.add(value.get("content") or value.get("data"))  # a document that is text
        elif value:
            self.files += 1

    def add_text(self, value: Any) -> None:
        """Adds all texts of an object of any form, such as the arguments of a tool."""
        if isinstance(value, str):
            self.characters += len(value)
        elif isinstance(value, list):
            for item in value:
                self.add_text(item)
        elif isinstance(value, dict):
            for inner in value.values():
                self.add_text(inner)

    def add_schema(self, value: Any) -> None:
        """Adds the declarations of tools, whose names and types the model reads as well."""
        if isinstance(value, dict):
            for name, inner in value.items():
                self.characters += len(name)
                self.add_schema(inner)
        elif isinstance(value, list):
            for item in value:
                self.add_schema(item)
        else:
            self.add_text(value)

    def add_tokens(self, value: Any) -> None:
        """Adds a prompt's part that consists of tokens."""
        if isinstance(value, list):
            self.characters += CHARACTERS_A_TOKEN * len(value)


def is_file(name: str, value: Any, kind: Any) -> bool:
    """Tells whether a field of a part holds a file of a kind that is not known here, such as `hologram`."""
    return isinstance(value, dict) and name == kind != "text"


# How the fields of a request are read that are neither text nor messages.
READ: Mapping[str, Callable[[Prompt, Any], None]] = {
    "tools": Prompt.add_schema,
    "context": Prompt.add_tokens,
    "images": lambda prompt, value: prompt.add_file("images", value),
}


def prompt_tokens(payload: Mapping[str, Any], fields: Iterable[str]) -> int:
    """Returns the estimated tokens of a request whose prompt is made of these fields."""
    prompt = Prompt()
    for name in fields:
        value = payload.get(name)
        if value:
            READ.get(name, Prompt.add)(prompt, value)
    return prompt.tokens


def tokens_of(characters: int) -> int:
    """Returns the estimated tokens of a text with this many characters."""
    return -(-characters // CHARACTERS_A_TOKEN)


def tokens_of_recording(size: int) -> int:
    """Returns the estimated tokens of a recording of so many bytes."""
    return min(-(-size // BYTES_A_TOKEN), MOST_OF_A_RECORDING)


def characters(value: Any) -> int:
    """Counts the characters of a text, or of messages, parts or items, files left out."""
    prompt = Prompt()
    prompt.add(value)
    return prompt.characters
