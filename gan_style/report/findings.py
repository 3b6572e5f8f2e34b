"""Findings of the training doctor, as a table."""

from typing import Any

from gan_style.report.markup import escape, table, upper
from gan_style.report.read import Run, as_number

_HEAD = ("Finding", "Iteration", "Seen", "Why, most likely", "What to change")


def findings_section(run: Run) -> str:
    """Return the findings of a run in the order in which they came, as HTML; empty for none."""
    rows = [
        (_name(row), [_iteration(row), _text(row, "symptom", "seen"), _text(row, "cause"), _change(row)])
        for row in run.findings
    ]
    return table(_HEAD, rows, "findings") if rows else ""


def _name(row: dict[str, Any]) -> str:
    where = f" in {row['where']}" if row.get("where") else ""
    critical = row.get("severity") == "critical"
    code = escape(f"{row.get('code', '')}{where}")
    return f'<span class="worse">{code}, critical</span>' if critical else code


def _iteration(row: dict[str, Any]) -> str:
    number = as_number(row.get("iteration"))
    return "" if number is None else f"{number:,.0f}"


def _text(row: dict[str, Any], key: str, detail: str = "") -> str:
    text = upper(str(row.get(key) or ""))
    return escape(f"{text}: {row[detail]}" if row.get(detail) else text)


def _change(row: dict[str, Any]) -> str:
    return f"{_text(row, 'change')} ({escape(str(row.get('docs') or ''))})"
