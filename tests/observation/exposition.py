"""Reading Prometheus's text format."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families


def counts(text: str) -> Counter[tuple[str, str, str]]:
    """How many requests of which dialect, operation and outcome."""
    found: Counter[tuple[str, str, str]] = Counter()
    for labels, value in samples(text, "mailsvc_requests_total"):
        assert set(labels) == {"dialect", "operation", "outcome"}
        found[labels["dialect"], labels["operation"], labels["outcome"]] += int(value)
    return found


def samples(text: str, name: str) -> Iterator[tuple[Mapping[str, str], float]]:
    """Labels and value of every sample of that name in Prometheus's text format."""
    for family in text_string_to_metric_families(text):
        yield from ((sample.labels, sample.value) for sample in family.samples if sample.name == name)
