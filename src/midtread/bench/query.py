"""Questions about bench records, answered by DuckDB.

    records.jsonl (one or several) ──► lines ──► records, the last line of a key ──► points: one per setting

A *group* is one dataset on one machine: the pictures, and the times, that may be averaged together. A *point* is one
setting of one series in one group. It is complete when every picture of the group has a record without an error for
it; only complete points may be averaged and drawn, because a mean over fewer pictures is a mean over other pictures.

Fields differ too much to be averaged: each is a group of its own, called "dataset / item". Where these queries say
rate_bpp, it is in bits per pixel of a picture and in bits per value of a field; where they say pixels, they mean values
of a field.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from midtread.bench.records import FILE, SCHEMA
from midtread.errors import BitstreamError, MissingError, UsageError

Row = dict[str, Any]

_NEEDED = ("key", "series", "setting", "dataset", "item", "machine")

# Two lines of one key: the later holds. Two keys of one setting, picture and machine (a codec library was updated in
# between): the later holds too, or a picture would count twice in the mean.
_RECORDS = """
CREATE TABLE records AS
WITH lines AS (
    SELECT unnest($lines::VARCHAR[])::JSON AS j, unnest($folders::VARCHAR[]) AS folder,
           generate_subscripts($lines::VARCHAR[], 1) AS n
), kept AS (
    SELECT * FROM lines QUALIFY row_number() OVER (PARTITION BY j->>'key' ORDER BY n DESC) = 1
)
SELECT
    n, folder, j->>'file' AS file,
    j->>'series' AS series, j->>'codec' AS codec, j->>'family' AS family, j->>'setting' AS setting,
    j->>'options' AS options, j->>'backend' AS backend, j->>'chroma' AS chroma,
    coalesce((j->>'lossless')::BOOLEAN, false) AS lossless,
    coalesce(j->>'signal', 'picture') AS signal, j->>'dataset' AS source, j->>'item' AS item,
    CASE WHEN j->>'signal' = 'tensor' THEN (j->>'dataset') || ' / ' || (j->>'item') ELSE j->>'dataset' END AS dataset,
    j->>'$.machine.name' AS machine, j->>'shape' AS shape, j->>'dtype' AS dtype,
    coalesce((j->>'width')::BIGINT * (j->>'height')::BIGINT, (j->>'values')::BIGINT) AS pixels,
    (j->>'source_bytes')::BIGINT AS source_bytes, (j->>'ratio')::DOUBLE AS ratio,
    (j->>'bound_of_range')::DOUBLE AS bound_of_range,
    (j->>'max_error_over_bound')::DOUBLE AS max_error_over_bound, (j->>'violations')::BIGINT AS violations,
    (j->>'size_bytes')::BIGINT AS size_bytes,
    coalesce((j->>'rate_bpp')::DOUBLE, (j->>'rate_bits_per_value')::DOUBLE) AS rate_bpp,
    (j->>'ideal_bytes')::DOUBLE AS ideal_bytes,
    CAST(j->'metrics' AS MAP(VARCHAR, DOUBLE)) AS metrics,
    (j->>'macs_per_pixel')::DOUBLE AS macs_per_pixel, (j->>'parameters')::BIGINT AS parameters,
    CASE WHEN json_type(j, 'complexity') = 'OBJECT' THEN j->>'complexity' END AS complexity,
    CASE WHEN json_type(j, 'timing') = 'OBJECT' THEN j->'timing' END AS timing,
    j->>'started' AS started, j->>'error' AS error
FROM kept
QUALIFY row_number() OVER (PARTITION BY machine, dataset, series, setting, item ORDER BY n DESC) = 1
"""

_GROUPS = """
SELECT dataset, machine, signal, source, count(*) AS pictures, sum(pixels) AS pixels,
       any_value(shape) AS shape, any_value(dtype) AS dtype
FROM (SELECT dataset, machine, signal, source, item, max(pixels) AS pixels, min(n) AS n,
             any_value(shape) AS shape, any_value(dtype) AS dtype
      FROM records GROUP BY dataset, machine, signal, source, item)
GROUP BY dataset, machine, signal, source ORDER BY min(n)
"""

_SERIES = """
SELECT series AS name, min_by(codec, n) AS codec, min_by(family, n) AS family,
       string_agg(DISTINCT chroma, ' / ' ORDER BY chroma) AS chroma,
       string_agg(DISTINCT backend, ' / ' ORDER BY backend) AS backend,
       max(macs_per_pixel) AS macs_per_pixel, max(parameters) AS parameters,
       list(DISTINCT complexity) FILTER (complexity IS NOT NULL) AS complexities
FROM records GROUP BY series ORDER BY min(n)
"""

_OPTIONS = """
SELECT series, min_by(options, n) AS options FROM records GROUP BY series
"""

# Speed of a setting: pixels of the timed pictures over the sum of their median times, so that a big picture counts
# for more than a small one, as it does for whoever waits.
_POINTS = """
SELECT dataset, machine, series, setting, bool_and(lossless) AS lossless, count(*) AS pictures,
       avg(rate_bpp) AS rate_bpp, sum(size_bytes)::BIGINT AS size_bytes, count(timing) AS timed,
       CASE WHEN count(ideal_bytes) = count(*) THEN sum(ideal_bytes) END AS ideal_bytes,
       CASE WHEN count(ideal_bytes) = count(*) THEN avg(8 * ideal_bytes / pixels) END AS ideal_bpp,
       {speeds},
       avg(ratio) AS ratio, avg(bound_of_range) AS bound_of_range,
       max(max_error_over_bound) AS max_error_over_bound, sum(violations)::BIGINT AS violations,
       max((timing->>'encode_peak_bytes')::DOUBLE)::BIGINT AS encode_peak_bytes,
       max((timing->>'decode_peak_bytes')::DOUBLE)::BIGINT AS decode_peak_bytes,
       min((timing->>'repeats')::INT) AS repeats, max((timing->>'threads')::INT) AS threads,
       max((timing->>'warmup')::INT) AS warmup
FROM records WHERE error IS NULL
GROUP BY dataset, machine, series, setting
ORDER BY dataset, machine, min(n)
"""

_SPEED = """
sum(pixels) FILTER ({clock} IS NOT NULL AND signal = 'picture') / 1e6 / nullif(sum({clock}), 0) AS {name}_mpx_s,
sum(source_bytes) FILTER ({clock} IS NOT NULL AND signal = 'tensor') / 1e9 / nullif(sum({clock}), 0) AS {name}_gb_s
"""

_MEASURES = """
SELECT dataset, machine, series, setting, entry.key AS metric, count(entry.value) AS pictures,
       avg(entry.value) AS mean, quantile_cont(entry.value, 0.25) AS q1, quantile_cont(entry.value, 0.75) AS q3,
       -10 * log10(avg(CASE WHEN entry.key = 'psnr_db' THEN pow(10, -entry.value / 10) END)) AS of_mean_mse
FROM (SELECT *, unnest(map_entries(metrics)) AS entry FROM records WHERE error IS NULL)
GROUP BY ALL
"""

_CURVES = """
SELECT dataset, machine, series, item, entry.key AS metric,
       list(rate_bpp ORDER BY rate_bpp, n) AS rates, list(entry.value ORDER BY rate_bpp, n) AS qualities
FROM (SELECT *, unnest(map_entries(metrics)) AS entry FROM records WHERE error IS NULL AND NOT lossless)
WHERE entry.value IS NOT NULL
GROUP BY ALL ORDER BY min(n)
"""

_STAGES = """
SELECT dataset, machine, series, setting, entry.key AS stage,
       sum((entry.value->>'median')::DOUBLE) / sum(pixels) * 1e9 AS ms_per_mpx
FROM (SELECT *, unnest(entries) AS entry, generate_subscripts(entries, 1) AS place
      FROM (SELECT *, map_entries(CAST(timing->'$.{direction}_stages_s' AS MAP(VARCHAR, JSON))) AS entries
            FROM records WHERE error IS NULL AND json_type(timing, '$.{direction}_stages_s') = 'OBJECT'))
GROUP BY ALL ORDER BY dataset, machine, series, setting, min(place)
"""

_FAILURES = """
SELECT series, setting, source AS dataset, item, machine, error FROM records WHERE error IS NOT NULL ORDER BY n
"""

# A refused field has no bound in its record; the setting tells it from the others.
_FIELDS = """
SELECT dataset, machine, series, setting, lossless, bound_of_range, ratio, rate_bpp, source_bytes, size_bytes,
       max_error_over_bound, violations, metrics, error,
       (timing->>'$.encode_s.median')::DOUBLE AS encode_s, (timing->>'$.decode_s.median')::DOUBLE AS decode_s,
       (timing->>'encode_peak_bytes')::BIGINT AS encode_peak_bytes,
       (timing->>'decode_peak_bytes')::BIGINT AS decode_peak_bytes
FROM records WHERE signal = 'tensor' ORDER BY n
"""

_PICTURE = """
SELECT folder, file, series, codec, options, setting, lossless, size_bytes, rate_bpp, metrics,
       ratio, bound_of_range, max_error_over_bound, violations
FROM records WHERE source = $dataset AND item = $item AND error IS NULL AND file IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY series, setting ORDER BY n DESC) = 1
ORDER BY n
"""


class Records:
    """The records of one or several bench folders; later folders hold over earlier ones where keys are equal.

    Raises:
        UsageError: a folder has no records, or records of a schema this version does not read.
        BitstreamError: a finished line is not a record.
        MissingError: DuckDB is not installed.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise MissingError("a report needs DuckDB; install it with: pip install 'midtread[bench]'") from error
        lines, where = _read(folders)
        self._connection = duckdb.connect()
        self._connection.execute(_RECORDS, {"lines": lines, "folders": where})

    def groups(self) -> list[Row]:
        """dataset, machine, signal, source (dataset without item), pictures, pixels of all; shape, dtype of a field."""
        return self._ask(_GROUPS)

    def series(self) -> list[Row]:
        """name, codec, family, chroma, backend, macs_per_pixel, parameters, complexities; in the order of the plan.

        `complexities` are what the records tell of the network, one for each that they tell; none in old records.
        """
        rows = self._ask(_SERIES)
        return [{**row, "complexities": [json.loads(text) for text in row["complexities"] or []]} for row in rows]

    def options(self) -> dict[str, Row]:
        """The options of the first setting of every series."""
        return {row["series"]: json.loads(row["options"] or "{}") for row in self._ask(_OPTIONS)}

    def points(self) -> list[Row]:
        """One row per setting: how many pictures, mean rate_bpp, total size_bytes, speeds, peak memory.

        Speeds are in MPx/s for pictures, in GB/s of the array for fields, which also have ratio, bound and violations.
        Also ideal_bytes and ideal_bpp, of the ideal code length: null unless every picture has one.
        """
        speeds = []
        for name in ("encode", "decode", "encode_file", "decode_file"):
            speeds.append(_SPEED.format(name=name, clock=f"(timing->>'$.{name}_s.median')::DOUBLE"))
        return self._ask(_POINTS.format(speeds=",".join(speeds)))

    def measures(self) -> list[Row]:
        """One row per setting and metric: pictures it has a value for, mean, quartiles; for psnr_db `of_mean_mse`."""
        return self._ask(_MEASURES)

    def curves(self) -> list[Row]:
        """One row per series, picture and metric: `rates` and `qualities` of its settings, by rate."""
        return self._ask(_CURVES)

    def stages(self, direction: str) -> list[Row]:
        """One row per setting and stage of "encode" or "decode": milliseconds per megapixel."""
        return self._ask(_STAGES.format(direction=direction))

    def failures(self) -> list[Row]:
        """Every record that holds an error instead of a measurement."""
        return self._ask(_FAILURES)

    def fields(self) -> list[Row]:
        """One row per field, series and setting, failures too: what the board of fields is made of."""
        return self._ask(_FIELDS)

    def finished(self) -> str | None:
        """When the last measurement started, UTC, ISO 8601."""
        latest: str | None = self._ask("SELECT max(started) AS latest FROM records")[0]["latest"]
        return latest

    def picture(self, dataset: str, item: str) -> list[Row]:
        """The kept files of one picture, every series and setting, with what was measured on them."""
        rows = self._ask(_PICTURE, {"dataset": dataset, "item": item})
        return [{**row, "options": json.loads(row["options"] or "{}")} for row in rows]

    def _ask(self, query: str, parameters: dict[str, str] | None = None) -> list[Row]:
        cursor = self._connection.execute(query, parameters or {})
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _read(folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Every finished line and the folder it came from. What follows the last newline was cut off by a kill."""
    lines: list[str] = []
    where: list[str] = []
    for folder in folders:
        path = folder / FILE
        if not path.is_file():
            raise UsageError(f"{folder} has no {FILE}; run `midtread bench` with --out {folder} first")
        raw = path.read_bytes()
        for number, line in enumerate(raw[: raw.rfind(b"\n") + 1].splitlines(), 1):
            _check(line, f"{path}, line {number}")
            lines.append(line.decode())
            where.append(str(folder))
    if not lines:
        raise UsageError(f"{' and '.join(map(str, folders))}: no records yet; run `midtread bench` first")
    return lines, where


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check(line: bytes, where: str) -> None:
    """DuckDB parses again, but its message would name neither the file nor the line."""
    try:
        record = json.loads(line, parse_constant=_refuse)
        schema = record["schema"]
        missing = [field for field in _NEEDED if record.get(field) is None]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BitstreamError(f"{where} is not a bench record: {line[:80]!r}") from error
    if schema != SCHEMA:
        raise UsageError(f"{where} is a record of schema {schema}; this version reads schema {SCHEMA}")
    if missing:
        raise BitstreamError(f"{where} is a record without {', '.join(missing)}")
