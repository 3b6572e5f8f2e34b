"""The score table of a report, and the sentence that sums it up."""

from dataclasses import dataclass
from typing import Any

from gan_style.report.markup import NONE, definition_list, escape, table, upper
from gan_style.report.names import Score, describe, describe_baseline, plain
from gan_style.report.read import Run, as_mapping, as_number, at

_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Value:
    """A score with its interval, each part None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    true_image: float | None = None


@dataclass(frozen=True)
class Row:
    """Row of the table: one score in one direction."""

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
        """Difference to the best baseline; negative for worse."""
        if self.best is None or self.own.value is None:
            return None
        difference = self.own.value - self.best[1]
        return difference if self.score.higher else -difference

    @property
    def clear(self) -> bool:
        """True where the interval shares no value with the best baseline's."""
        if self.best is None:
            return False
        other = self.baselines[self.best[0]]
        if self.own.low is None or self.own.high is None or other.low is None or other.high is None:
            return False
        return self.own.low > other.high or self.own.high < other.low


def make_rows(scores: dict[str, Any]) -> list[Row]:
    """Read the content of ``scores.json``: one row per direction and score.

    The score of the untranslated input is a baseline like the others, also where it stands as the ``ceiling`` of
    a score.
    """
    baselines = as_mapping(scores.get("baselines"))
    rows = []
    for direction, entries in as_mapping(scores.get("scores")).items():
        for name, entry in as_mapping(entries).items():
            found = {
                str(baseline): _value(as_mapping(as_mapping(directions).get(direction)).get(name))
                for baseline, directions in baselines.items()
            }
            ceiling = as_number(as_mapping(entry).get("ceiling"))
            if ceiling is not None:
                found["input"] = Value(ceiling)
            rows.append(Row(direction, name, describe(name, as_mapping(entry)), _value(entry), found))
    return rows


def rule_of(run: Run) -> str:
    """Return the rule that chose best.ckpt, empty where it is not recorded."""
    return str(as_mapping(run.record.get("best")).get("rule") or "")


def baseline_names(rows: list[Row]) -> list[str]:
    """Return the baselines of any row, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row.baselines))


def headline(rows: list[Row], rule: str = "") -> str:
    """Return the main score of each direction against its best baseline, empty without scores.

    Args:
        rows: Of the table.
        rule: That of best.ckpt: the score it names is the main one, else the first.
    """
    rows = [row for row in rows if row.own.value is not None]
    names = [row.name for row in rows]
    chosen = rule.rpartition("/")[2]
    main = chosen if chosen in names else names[0] if names else ""
    parts = []
    named = ""
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


def score_section(run: Run) -> str:
    """Return the table with the sentences that explain it, and the checkpoints, as HTML."""
    rows = make_rows(run.scores)
    shown = (
        f"{score_table(rows)}{_explanations(rows)}{_protocol(as_mapping(run.scores.get('protocol')))}" if rows else ""
    )
    return shown + _checkpoints(run)


def score_name(direction: str, score: Score) -> str:
    """Return the first cell of a score's line."""
    return f'<span class="direction">{escape(direction)}</span> {escape(score.title)}'


def score_cell(entry: Value, digits: int, best: bool = False) -> str:
    """Return a value with its interval; the best of a line stands out."""
    if entry.value is None:
        return NONE
    number = _number(entry.value, digits)
    text = f'<span class="value">{f"<b>{number}</b>" if best else number}</span>'
    if entry.low is not None and entry.high is not None:
        low, high = _number(entry.low, digits), _number(entry.high, digits)
        text += f' <span class="interval">[{low}, {high}]</span>'
    return text


def _value(entry: object) -> Value:
    fields = as_mapping(entry)
    if not fields:
        return Value(as_number(entry))
    return Value(*(as_number(fields.get(key)) for key in ("value", "low", "high", "floor", "true_picture")))


def _number(value: float, digits: int, sign: bool = False) -> str:
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", _MINUS)


def _gain(row: Row) -> str:
    if row.gain is None:
        return NONE
    kind = "better" if row.gain > 0 else "worse" if row.gain < 0 else ""
    text = _number(row.gain, row.score.digits, sign=True)
    return f'<span class="gain {kind}">{f"<b>{text}</b>" if row.clear else text}</span>'


def score_table(rows: list[Row]) -> str:
    """Return the table of scores, beside baselines, floor and truth where there are some, as HTML."""
    has_floor = any(row.own.floor is not None for row in rows)
    has_true = any(row.own.true_image is not None for row in rows)
    names = baseline_names(rows)
    head = [
        "Direction and score",
        "This model",
        *map(upper, names),
        *(["Floor"] if has_floor else []),
        *(["Another true picture"] if has_true else []),
        "Gain over the best baseline",
    ]
    lines = []
    for row in rows:
        entries = [row.own, *(row.baselines.get(name, Value(None)) for name in names)]
        entries += [Value(row.own.floor)] if has_floor else []
        entries += [Value(row.own.true_image)] if has_true else []
        cells = [score_cell(entry, row.score.digits) for entry in entries]
        lines.append((score_name(row.direction, row.score), [*cells, _gain(row)]))
    return table(head, lines, "scores")


def _explanations(rows: list[Row]) -> str:
    terms: dict[str, str] = {}
    for row in rows:
        text = row.score.text or "Not a score this report knows, so no gain is given."
        terms.setdefault(row.score.title, text)
    for name in baseline_names(rows):
        terms.setdefault(upper(name), describe_baseline(name) or "A baseline this report does not know.")
    if any(entry.low is not None for row in rows for entry in (row.own, *row.baselines.values())):
        terms["[low, high]"] = "The interval of the value; see the protocol."
    if any(row.own.floor is not None for row in rows):
        terms["Floor"] = "The score that real pictures reach against other real pictures of the domain."
    if any(row.own.true_image is not None for row in rows):
        terms["Another true picture"] = "The score of another true picture of the same scene: what can be reached."
    if any(row.gain is not None for row in rows):
        terms["Gain"] = (
            "Positive is better, whatever the score's direction; bold where the model's interval and the "
            "best baseline's do not overlap."
        )
    return definition_list(list(terms.items()), "terms")


def _protocol(protocol: dict[str, Any]) -> str:
    if not protocol:
        return '<p class="note">The file names no protocol.</p>'
    rows = [(upper(key.replace("_", " ")), plain(value)) for key, value in protocol.items()]
    return f"<h3>Protocol</h3>{definition_list(rows)}"


def _checkpoints(run: Run) -> str:
    """Return the rule of best.ckpt, and the scores of best.ckpt and of last.ckpt in validations, as HTML."""
    best, last = (as_mapping(run.record.get(key)) for key in ("best", "last"))
    ends = {f"{name}.ckpt": as_number(entry.get("iteration")) for name, entry in (("best", best), ("last", last))}
    saved = {name: iteration for name, iteration in ends.items() if iteration is not None}
    if not saved:
        return ""
    rows = [("Iteration", [f"{iteration:,.0f}" for iteration in saved.values()])]
    for series in run.metrics:
        top, _, name = series.name.partition("/")
        direction, _, score = name.rpartition("/")
        if top == "val":
            found = [Value(at(series, iteration)) for iteration in saved.values()]
            known = describe(score)
            rows.append(
                (score_name(direction or "overall", known), [score_cell(value, known.digits) for value in found])
            )
    rule = f"<p>Rule of best.ckpt: {escape(rule_of(run) or 'not recorded')}.</p>"
    note = '<p class="note">Scores of the newest validation up to each checkpoint.</p>' if rows[1:] else ""
    return f"<h3>Checkpoints</h3>{rule}{table(['', *saved], rows, 'scores')}{note}"
