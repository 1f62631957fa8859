"""Read a batch's Parquet files with DuckDB, pandas and Polars.

    python readers.py 'RUN/*.parquet'

Prints what each of them sees, as one JSON object. It ends with status 69 and
the missing packages' names if one is not installed.
"""

import glob
import importlib.util
import json
import sys

NEEDED = ["duckdb", "pandas", "pyarrow", "polars"]


def summary(rows):
    """Facts of a list of dictionaries, whatever read them."""
    scores = [dict(r["scores"]) for r in rows if r["scores"]]
    return {
        "lines": len(rows),
        "rows": len({r["index"] for r in rows}),
        "output_tokens": sum(int(r["output_tokens"]) for r in rows),
        "text_characters": sum(len(r["text"]) for r in rows if r["text"] is not None),
        "failed": sum(1 for r in rows if r["error_code"] is not None),
        "token_ids": sum(len(r["tokens"]) for r in rows if r["tokens"] is not None),
        "logprobs": sum(len(json.loads(r["logprobs"])) for r in rows if r["logprobs"] is not None),
        "choice_score": sum(s["choice"] for s in scores if "choice" in s),
        "prefill_s": round(sum(r["prefill_s"] for r in rows if r["prefill_s"] is not None), 6),
    }


def with_duckdb(pattern):
    import duckdb

    cursor = duckdb.sql(f"select * from read_parquet('{pattern}')")
    return [dict(zip(cursor.columns, row)) for row in cursor.fetchall()]


def with_pandas(pattern):
    import pandas

    frame = pandas.concat(pandas.read_parquet(path) for path in sorted(glob.glob(pattern)))
    rows = frame.astype(object).to_dict("records")
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float) and value != value:
                row[name] = None
    return rows


def with_polars(pattern):
    import polars

    rows = polars.read_parquet(pattern).to_dicts()
    for row in rows:
        scores = row["scores"] or {}
        if not isinstance(scores, dict):  # Polars 1 gives a map as a list of {key, value}
            scores = {s["key"]: s["value"] for s in scores}
        row["scores"] = list(scores.items())
    return rows


def main():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print("not installed: " + ", ".join(missing), file=sys.stderr)
        sys.exit(69)
    pattern = sys.argv[1]
    readers = {"duckdb": with_duckdb, "pandas": with_pandas, "polars": with_polars}
    print(json.dumps({name: summary(read(pattern)) for name, read in readers.items()}))


if __name__ == "__main__":
    main()
