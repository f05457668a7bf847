"""The text format of Prometheus, version 0.0.4 (prometheus.io, "Exposition formats")."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value that goes up and down, for each set of labels; the unit is the last word of its name."""

    name: str
    help: str
    samples: Sequence[Sample]


def gauge(name: str, meaning: str, value: float) -> Gauge:
    return Gauge(name, meaning, [Sample(value, {})])


def gauge_by(label: str, name: str, meaning: str, values: Mapping[str, float]) -> Gauge:
    """One value for each word that the label may have."""
    return Gauge(name, meaning, [Sample(value, {label: word}) for word, value in values.items()])


def exposed(gauges: Iterable[Gauge]) -> str:
    return "".join(f"{line}\n" for one in gauges for line in _lines(one))


def _lines(one: Gauge) -> list[str]:
    return [
        f"# HELP {one.name} {_escaped(one.help)}",
        f"# TYPE {one.name} gauge",
        *(f"{one.name}{_labels(sample.labels)} {sample.value}" for sample in one.samples),
    ]


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value, quoted=True)}"' for name, value in labels.items())
    return f"{{{','.join(pairs)}}}"


def _escaped(text: str, *, quoted: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quoted else escaped
