"""The score table of a report, and the sentence that sums it up."""

from dataclasses import dataclass
from html import escape
from typing import Any

from gan_style.report.names import Score, definition_list, describe, describe_baseline, plain
from gan_style.report.read import as_mapping, as_number

_MINUS = "\N{MINUS SIGN}"
_NONE = '<span class="none">\N{EN DASH}</span>'


@dataclass(frozen=True)
class Value:
    """A score with its interval, each part None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: one score in one direction."""

    direction: str
    name: str
    score: Score
    own: Value
    baselines: dict[str, Value]

    @property
    def best(self) -> tuple[str, float] | None:
        """Name and value of the best baseline."""
        known = [(entry.value, name) for name, entry in self.baselines.items() if entry.value is not None]
        if not known or self.score.higher is None:
            return None
        value, name = max(known) if self.score.higher else min(known)
        return name, value

    @property
    def gain(self) -> float | None:
        """How much better than the best baseline, negative for worse."""
        if self.best is None or self.own.value is None:
            return None
        difference = self.own.value - self.best[1]
        return difference if self.score.higher else -difference

    @property
    def clear(self) -> bool:
        """Whether the interval shares no value with the best baseline's."""
        if self.best is None:
            return False
        other = self.baselines[self.best[0]]
        if self.own.low is None or self.own.high is None or other.low is None or other.high is None:
            return False
        return self.own.low > other.high or self.own.high < other.low


def make_rows(scores: dict[str, Any]) -> list[Row]:
    """Returns the lines of the table, direction by direction in the file's order."""
    baselines = as_mapping(scores.get("baselines"))
    rows = []
    for direction, entries in as_mapping(scores.get("scores")).items():
        for name, entry in as_mapping(entries).items():
            found = {
                str(baseline): _value(as_mapping(as_mapping(directions).get(direction)).get(name))
                for baseline, directions in baselines.items()
            }
            rows.append(Row(direction, name, describe(name), _value(entry), found))
    return rows


def headline(rows: list[Row]) -> str:
    """Returns the main score of each direction against its best baseline, empty without scores."""
    parts = []
    names = [row.name for row in rows if row.own.value is not None]
    named = ""
    main = "psnr" if "psnr" in names else (names[0] if names else "")
    for row in rows:
        if row.name != main or row.own.value is None:
            continue
        digits = 1 if row.score.unit else row.score.digits
        unit = f" {row.score.unit}" if row.score.unit else ""
        title = "" if row.score.unit else f"{row.score.title} "
        text = f"{row.direction} {title}{row.own.value:.{digits}f}{unit}"
        if row.best is not None:
            baseline, value = row.best
            text += f" against {value:.{digits}f}{unit}"
            text += f" for the best baseline ({baseline})" if baseline != named else ""
            named = baseline
        parts.append(text)
    return "; ".join(parts)


def score_section(scores: dict[str, Any]) -> str:
    """Returns the table with the sentences that explain it, as HTML."""
    rows = make_rows(scores)
    if not rows:
        return ""
    return f"{_table(rows)}{_explanations(rows)}{_protocol(as_mapping(scores.get('protocol')))}"


def _value(entry: object) -> Value:
    fields = as_mapping(entry)
    if not fields:
        return Value(as_number(entry))
    return Value(*(as_number(fields.get(key)) for key in ("value", "low", "high", "floor")))


def _number(value: float, digits: int, sign: bool = False) -> str:
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", _MINUS)


def _cell(entry: Value, digits: int) -> str:
    if entry.value is None:
        return _NONE
    text = f'<span class="value">{_number(entry.value, digits)}</span>'
    if entry.low is not None and entry.high is not None:
        low, high = _number(entry.low, digits), _number(entry.high, digits)
        text += f' <span class="interval">[{low}, {high}]</span>'
    return text


def _gain(row: Row) -> str:
    if row.gain is None:
        return _NONE
    kind = "better" if row.gain > 0 else "worse" if row.gain < 0 else ""
    text = _number(row.gain, row.score.digits, sign=True)
    return f'<span class="gain {kind}">{f"<b>{text}</b>" if row.clear else text}</span>'


def _table(rows: list[Row]) -> str:
    has_floor = any(row.own.floor is not None for row in rows)
    names = list(rows[0].baselines)
    head = ["This model", *names, *(["Floor"] if has_floor else []), "Gain over the best baseline"]
    lines = []
    for index, row in enumerate(rows):
        digits = row.score.digits
        cells = [_cell(row.own, digits), *(_cell(entry, digits) for entry in row.baselines.values())]
        if has_floor:
            cells.append(_cell(Value(row.own.floor), digits))
        cells.append(_gain(row))
        first = index == 0 or rows[index - 1].direction != row.direction
        data = "".join(
            f'<td data-label="{escape(_upper(label))}"{own}>{cell}</td>'
            for label, cell, own in zip(head, cells, [' class="own"', *[""] * (len(head) - 1)], strict=True)
        )
        direction = escape(row.direction)
        lines.append(
            f"<tr{' class=first' if first else ''}>"
            f'<th scope="row"><span class="direction">{direction}</span> '
            f"{escape(row.score.title)}</th>{data}</tr>"
        )
    titles = "".join(f'<th scope="col">{escape(_upper(label))}</th>' for label in head)
    return (
        f'<table class="scores"><thead><tr><th scope="col">Direction and score</th>{titles}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _upper(label: str) -> str:
    return label[:1].upper() + label[1:]


def _explanations(rows: list[Row]) -> str:
    terms: dict[str, str] = {}
    for row in rows:
        text = row.score.text or "Not a score this report knows, so no gain is given."
        terms.setdefault(row.score.title, text)
    for name in rows[0].baselines:
        terms.setdefault(_upper(name), describe_baseline(name) or "A baseline this report does not know.")
    if any(entry.low is not None for row in rows for entry in (row.own, *row.baselines.values())):
        terms["[low, high]"] = "The interval of the value; see the protocol."
    if any(row.own.floor is not None for row in rows):
        terms["Floor"] = "The score that real pictures reach against other real pictures of the domain."
    if any(row.gain is not None for row in rows):
        terms["Gain"] = (
            "Positive is better, whatever the score's direction; bold where the model's interval and the "
            "best baseline's do not overlap."
        )
    return definition_list(list(terms.items()), "terms")


def _protocol(protocol: dict[str, Any]) -> str:
    if not protocol:
        return '<p class="note">The file names no protocol.</p>'
    rows = [(_upper(key), plain(value)) for key, value in protocol.items()]
    return f"<h3>Protocol</h3>{definition_list(rows)}"
