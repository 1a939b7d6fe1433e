"""What a module says about itself: `__describe`, the registry's pages, the index's engine gate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigArg:
    """One argument of a config block, as documentation shows it.

    Attributes:
        default: as the user would write it; empty for none.
        since: the first engine version that has it; empty for all.
        until: the engine version that removed it; empty for none.

    """

    name: str
    type: str
    default: str = ""
    desc: str = ""
    required: bool = False
    since: str = ""
    until: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the shape that `__describe` prints."""
        return {
            "Name": self.name,
            "Type": self.type,
            "Default": self.default,
            "Desc": self.desc,
            "Required": self.required,
            "Since": self.since,
            "Until": self.until,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigBlock:
    """A nested block; blocks inside it follow it in the list, named ``outer.inner``.

    Attributes:
        label: the name of its label; empty for none.

    """

    name: str
    label: str = ""
    desc: str = ""
    args: tuple[ConfigArg, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the shape that `__describe` prints."""
        return {
            "Name": self.name,
            "Label": self.label,
            "Desc": self.desc,
            "Args": [arg.to_json() for arg in self.args] or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A module's page.

    Attributes:
        category: for instance ``database``, ``cache``, ``queue``, ``server``.
        port: the engine's usual port; 0 for none.
        versions: supported engine versions. Their majors become the gate of the module index: the host refuses a
            declared version whose major is not here. Empty exactly for a `Versionless` driver.
        example: a complete block that decodes and boots.
        example_label: the label that the example's block has.
        config: filled from the config class when empty.
        blocks: filled from the config class when empty.
        source: ``<namespace>/<name>``.

    """

    title: str
    tagline: str = ""
    category: str = ""
    description: str = ""
    port: int = 0
    versions: tuple[str, ...] = ()
    example: str = ""
    example_label: str = ""
    config: tuple[ConfigArg, ...] = ()
    blocks: tuple[ConfigBlock, ...] = ()
    homepage: str = ""
    source: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the shape that `__describe` prints: Go's field names, null for an empty list."""
        return {
            "Title": self.title,
            "Tagline": self.tagline,
            "Category": self.category,
            "Description": self.description,
            "Port": self.port,
            "Versions": list(self.versions) or None,
            "Example": self.example,
            "ExampleLabel": self.example_label,
            "Config": [arg.to_json() for arg in self.config] or None,
            "Blocks": [block.to_json() for block in self.blocks] or None,
            "Homepage": self.homepage,
            "Source": self.source,
        }
