"""What stands in for statsd_exporter in the cluster shape: its line protocol, its names, its mapping file."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import statsd
import yaml
from prometheus_client.parser import text_string_to_metric_families

from evergreen.errors import SettingsError
from evergreen.stack.cluster import statsd_exporter
from evergreen.stack.cluster.statsd_exporter import Metrics, Sample, parse
from evergreen.stack.config.home import PROJECT

MAPPING = PROJECT / "deploy" / "prometheus" / "statsd.yml"


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("airflow.ti.start:1|c", Sample("airflow_ti_start", (), "counter", 1)),
        ("a.b-c:3|g", Sample("a_b_c", (), "gauge", 3)),
        ("a:-3|g", Sample("a", (), "gauge", -3, relative=True)),
        ("a:1|c|@0.1", Sample("a", (), "counter", 10)),
        ("a:2500|ms", Sample("a", (), "histogram", 2.5)),
        (
            "task.duration,dag_id=nyc_flights.train,task-id=fit:10.5|ms",
            Sample("task_duration", (("dag_id", "nyc_flights.train"), ("task_id", "fit")), "histogram", 0.0105),
        ),
        ("9a,x=:1|c", Sample("_9a", (), "counter", 1)),
    ],
)
def test_a_line_is_read_as_the_original_reads_it(line, sample):
    assert parse(line) == sample


@pytest.mark.parametrize("line", ["", "a", "a:1", "a:x|c", ":1|c", "a:1|s", "a:1|?"])
def test_what_is_no_line_is_refused(line):
    with pytest.raises(ValueError, match=r"line|float"):
        parse(line)


def samples(metrics):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in metrics.collect() for s in family.samples}


def test_counters_add_up_gauges_are_replaced_and_timers_are_counted_by_bucket():
    metrics = Metrics([0.5, 1.0, 60.0])
    metrics.receive(b"c,k=v:1|c\nc,k=v:2|c\ng:5|g\ng:3|g\ng:+1|g\nt:400|ms\nt:1000|ms\nt:61000|ms")
    found = samples(metrics)
    assert found["c", (("k", "v"),)] == 3
    assert found["g", ()] == 4
    assert [found["t_bucket", (("le", le),)] for le in ("0.5", "1", "60", "+Inf")] == [1, 2, 2, 3]
    assert found["t_count", ()] == 3
    assert found["t_sum", ()] == pytest.approx(62.4)


def test_a_bad_line_costs_itself_only_and_is_counted():
    metrics = Metrics([1.0])
    metrics.receive(b"nonsense\na:1|c\na:1|g\na:-1|c\na:1|c\n\xff:1|c")
    found = samples(metrics)
    assert found["a", ()] == 2
    assert found["statsd_exporter_sample_errors_total", ()] == 3
    assert found["statsd_exporter_lines_total", ()] == 6


def test_the_shipped_mapping_file_is_understood_and_another_is_not_passed_over(tmp_path):
    buckets = statsd_exporter.read_buckets(MAPPING)
    assert len(buckets) > 5
    given = yaml.safe_load(MAPPING.read_text())
    for changed in (
        given | {"mappings": [{"match": "a.*", "name": "b"}]},
        given | {"more": 1},
        given | {"defaults": given["defaults"] | {"ttl": "1h"}},
        given | {"defaults": given["defaults"] | {"histogram_options": {"buckets": [2, 1]}}},
    ):
        path = tmp_path / "statsd.yml"
        path.write_text(yaml.safe_dump(changed))
        with pytest.raises(SettingsError, match=r"statsd\.yml: here only"):
            statsd_exporter.read_buckets(path)


def free_ports():
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def test_a_process_takes_what_airflows_client_sends_and_answers_a_scraper(tmp_path):
    udp, web = free_ports()
    command = [sys.executable, "-m", "evergreen.stack.cluster.statsd_exporter", str(MAPPING), str(udp), str(web)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(PROJECT / "include")}) as process:
        try:
            client = statsd.StatsClient("127.0.0.1", udp, prefix="airflow")
            limit, names = time.monotonic() + 30, {}
            while "airflow_task_duration_count" not in names and time.monotonic() < limit:
                client.timing("task.duration,dag_id=a.b,task_id=c", 1500)
                time.sleep(0.2)
                names = scrape(f"http://127.0.0.1:{web}/metrics")
            assert names["airflow_task_duration_count"].labels == {"dag_id": "a.b", "task_id": "c"}
            assert names["airflow_task_duration_sum"].value == 1.5 * names["airflow_task_duration_count"].value
        finally:
            process.terminate()


def scrape(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
    except OSError:  # it does not listen yet
        return {}
    return {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
