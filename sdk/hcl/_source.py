"""Source text and positions in it.

The scanner, the parser and the evaluator deal in character offsets alone. Lines, columns and bytes are worked out
here, when somebody asks for them, which is when a diagnostic is rendered.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Pos:
    """A place in a source: line and column count from 1, the column in grapheme clusters; byte counts from 0."""

    __slots__ = ("byte", "column", "line")

    def __init__(self, line: int, column: int, byte: int) -> None:
        self.line = line
        self.column = column
        self.byte = byte

    def __iter__(self) -> Iterator[int]:
        return iter((self.line, self.column, self.byte))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pos) and (*self,) == (*other,)

    def __hash__(self) -> int:
        return hash((*self,))

    def __repr__(self) -> str:
        return f"Pos(line={self.line}, column={self.column}, byte={self.byte})"


class _Line:
    """What it takes to place an offset inside one line that holds non-ASCII text."""

    __slots__ = ("bytes", "clusters")

    def __init__(self, clusters: list[int], offsets: list[int]) -> None:
        #: Offsets at which a grapheme cluster starts, relative to the line.
        self.clusters = clusters
        #: The byte offset of each character, relative to the line, and that of the end.
        self.bytes = offsets


class Source:
    """A file name and its text.

    Bytes are read as UTF-8. Bytes that are no UTF-8 stay in the text as lone surrogates (PEP 383), one per byte, for
    the scanner to report; a byte-order mark is left out of the text and counted in byte positions.
    """

    __slots__ = ("_line_bytes", "_line_starts", "_lines", "bom", "boundaries", "filename", "is_ascii", "text")

    def __init__(self, filename: str, content: str | bytes) -> None:
        text = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content
        self.filename = filename
        self.bom = 3 if text.startswith("\ufeff") else 0
        self.text = text[1:] if self.bom else text
        self.is_ascii = text.isascii()
        #: Offsets at which tokens start or end, ascending. A grapheme cluster never crosses one: columns are counted
        #: token by token, as Go counts them.
        self.boundaries: Sequence[int] = ()
        self._line_starts: list[int] | None = None
        self._line_bytes: list[int] | None = None
        self._lines: dict[int, _Line] = {}

    def __repr__(self) -> str:
        return f"Source({self.filename!r}, {len(self.text)} characters)"

    def range(self, start: int, end: int) -> Range:
        """The part of the source from one character offset up to another."""
        return Range(self, start, end)

    def line_span(self, offset: int) -> tuple[int, int]:
        """Where the line that an offset is in starts and ends, its line end left out."""
        from bisect import bisect_right  # an extension module, needed once something is wrong

        starts = self._starts()
        index = bisect_right(starts, offset)
        start = starts[index - 1]
        end = starts[index] - 1 if index < len(starts) else len(self.text)
        return start, end - 1 if end > start and self.text[end - 1] == "\r" else end

    def pos(self, offset: int) -> Pos:
        """The position of a character offset."""
        from bisect import bisect_right

        starts = self._starts()
        index = bisect_right(starts, offset) - 1
        start = starts[index]
        if self.is_ascii:
            return Pos(index + 1, offset - start + 1, offset)
        line = self._line(index)
        relative = offset - start
        column = bisect_right(line.clusters, relative - 1) + 1
        return Pos(index + 1, column, self._bytes_before(index) + line.bytes[relative])

    def _starts(self) -> list[int]:
        if self._line_starts is None:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._line_starts = starts
        return self._line_starts

    def _bytes_before(self, index: int) -> int:
        if self._line_bytes is None:
            starts = self._starts()
            total = self.bom
            totals = [total]
            for start, end in itertools.pairwise(starts):
                total += _byte_length(self.text[start:end])
                totals.append(total)
            self._line_bytes = totals
        return self._line_bytes[index]

    def _line(self, index: int) -> _Line:
        line = self._lines.get(index)
        if line is None:
            starts = self._starts()
            start = starts[index]
            end = starts[index + 1] if index + 1 < len(starts) else len(self.text)
            text = self.text[start:end]
            line = self._lines[index] = _Line(self._cluster_starts(text, start), _byte_offsets(text))
        return line

    def _cluster_starts(self, text: str, start: int) -> list[int]:
        if text.isascii():
            return list(range(len(text)))
        from bisect import bisect_right

        from ._unicode import cluster_starts

        end = start + len(text)
        low = bisect_right(self.boundaries, start)
        clusters: list[int] = []
        at = start
        while at < end:
            stop = min(self.boundaries[low], end) if low < len(self.boundaries) else end
            low += 1
            if stop > at:
                clusters.extend(cluster_starts(self.text, at, stop, -start))
                at = stop
        return clusters


class Range:
    """A part of a source, from one character offset up to but not including another."""

    __slots__ = ("end", "source", "start")

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source = source
        self.start = start
        self.end = end

    @property
    def filename(self) -> str:
        """The name of the file."""
        return self.source.filename

    @property
    def start_pos(self) -> Pos:
        """Where the range begins."""
        return self.source.pos(self.start)

    @property
    def end_pos(self) -> Pos:
        """The position behind the last character of the range."""
        return self.source.pos(self.end)

    @property
    def text(self) -> str:
        """The source text in the range."""
        return self.source.text[self.start : self.end]

    def __str__(self) -> str:
        """`doze.hcl:2,3-7`, or `doze.hcl:2,3-4,1` across lines: the form of Go's `Range.String()`."""
        start, end = self.start_pos, self.end_pos
        if start.line == end.line:
            return f"{self.source.filename}:{start.line},{start.column}-{end.column}"
        return f"{self.source.filename}:{start.line},{start.column}-{end.line},{end.column}"

    def __repr__(self) -> str:
        return f"Range({self})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Range)
            and self.source is other.source
            and self.start == other.start
            and self.end == other.end
        )

    def __hash__(self) -> int:
        return hash((id(self.source), self.start, self.end))


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else _byte_offsets(text)[-1]


def _byte_offsets(text: str) -> list[int]:
    if text.isascii():
        return list(range(len(text) + 1))
    total = 0
    offsets = [0]
    for character in text:
        code = ord(character)
        if code < 0x80 or 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8 stands as one lone surrogate
            total += 1
        elif code < 0x800:
            total += 2
        else:
            total += 3 if code < 0x10000 else 4
        offsets.append(total)
    return offsets
