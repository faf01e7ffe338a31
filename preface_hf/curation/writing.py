"""The prepared set that is left of a pool: written row group by row group, there when it is whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from datasets import Features, Value
from huggingface_hub import DatasetCard, DatasetCardData

from preface_hf.curation.rules import PoolRow
from preface_hf.data.opening import PreparedSet
from preface_hf.data.shards import ROWS_PER_GROUP, describe_files, write_tables
from preface_hf.files import building


POOL_ID = "pool_id"  # the column that holds a row's instance id in the pool


def write_curated(
    out: Path, pool: dict[str, PreparedSet], rows: list[PoolRow], options: dict[str, Any]
) -> dict[str, int]:
    """Write the prepared set of the `rows` without a reason, with report, README and `options`; number them anew.

    `rows` are all of `pool`, in order. Returns the rows kept of each split that keeps any.
    """
    kept = [row for row in rows if row.reason is None]
    for instance_id, row in enumerate(kept):
        row.instance_id = instance_id
    with building(out) as folder:
        (folder / "data").mkdir()
        # All splits read on in one iterator of rows, which lie in the order of the pool.
        counts, lines = {}, iter(rows)
        for split, data in pool.items():
            features = Features({**data.rows.features, POOL_ID: Value("int64")})
            if count := write_tables(folder / "data", split, kept_tables(data, lines, features), features):
                counts[split] = count
        text = curated_readme(folder / "data", features, counts, next(iter(pool.values())).path, rows)
        (folder / "README.md").write_text(text, encoding="utf-8")
        (folder / "curate.yaml").write_text(yaml.safe_dump(options, sort_keys=False), encoding="utf-8")
        with (folder / "report.jsonl").open("w", encoding="utf-8") as report:
            report.writelines(json.dumps(row.line(), ensure_ascii=False) + "\n" for row in rows)
    return counts


def kept_tables(data: PreparedSet, lines: Iterator[PoolRow], features: Features) -> Iterator[pa.Table]:
    """Row groups of a split without the rows that have a reason, numbered anew; `lines` are its rows."""
    for table in data.rows.with_format("arrow").iter(batch_size=ROWS_PER_GROUP):
        rows = [next(lines) for _ in range(len(table))]
        # videos are copied as they are, not decoded
        table = table.filter(pa.array([row.reason is None for row in rows]))
        rows = [row for row in rows if row.reason is None]
        if rows:
            new = {"instance_id": [row.instance_id for row in rows], POOL_ID: [row.pool_id for row in rows]}
            arrays = [pa.array(new[name], pa.int64()) if name in new else table[name] for name in features]
            yield pa.Table.from_arrays(arrays, schema=features.arrow_schema)


def curated_readme(data: Path, features: Features, counts: dict[str, int], pool: str, rows: list[PoolRow]) -> str:
    """A README that says what was kept, and goes on with the pool's: its license and consent hold here too."""
    try:
        local = Path(pool) / "README.md"
        card = DatasetCard.load(local if Path(pool).exists() else pool)
        header, text = card.data, card.text.strip()
    except Exception:  # no README, not a valid one, or no network
        header, text = DatasetCardData(), "It has no README that could be read: ask its owner for license and consent."
    # The pool's header stays, with the files and counts of this set in it.
    described = describe_files(features, counts, data, header)
    held = ", ".join(f"{kept} in `{split}`" for split, kept in counts.items())
    dropped = Counter(row.reason.split(":")[0] for row in rows if row.reason)
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "none"
    return f"""---
{described.to_yaml()}
---

# Curated face tracks

Made by `preface-hf curate`: {sum(counts.values())} of {len(rows)} rows of a pool ({held}). Dropped: {reasons}; the
reason for each is in `report.jsonl` and the options are in `curate.yaml` where the set was curated; neither is pushed.
`{POOL_ID}` is a row's `instance_id` in the pool. What follows is the README of the pool.

{text}
"""
