"""The page of faults: a row stays until its fault is measured again."""

from benchmarks._fault_page import FAULTS, write_rows

KILLED = {
    "table": "events", "name": "a worker is killed, lmdb", "measured": "2026-01-02, 2 cores",
    "times": 50, "sent": 1_200, "acknowledged": 1_100, "found": 1_150, "lost": 0, "twice": 0,
    "events": {"200": 110, "cut off": 7}, "scores": {}, "score_seconds": [], "again": [4.0, 6.0],
}  # fmt: skip
ASKED = {"table": "requests", "name": "what fits, `/v1/bid`", "measured": "2026-01-02, 2 cores"}


def rows(page):
    return [line for line in page.read_text().splitlines() if line.startswith("| ")]


def test_a_record_becomes_its_rows(tmp_path):
    page = tmp_path / "faults.md"
    write_rows([KILLED, ASKED | {"answers": {"200": 990, "422": 10}}], page)
    found = rows(page)
    assert (
        "| a worker is killed, lmdb | 50 | 1,200 | 1,100 | 1,150 | 0 | 0 | 2026-01-02, 2 cores |"
        in found
    )
    assert (
        "| a worker is killed, lmdb | 200: 110, cut off: 7 |  |  |  | 4.0, 5.0, 6.0 |"
        " 2026-01-02, 2 cores |" in found
    )
    assert "| what fits, `/v1/bid` | 1,000 | 200: 990, 422: 10 | 2026-01-02, 2 cores |" in found


def test_a_row_that_is_measured_again_is_replaced_and_the_others_stay_as_they_are(tmp_path):
    page = tmp_path / "faults.md"
    write_rows([KILLED, KILLED | {"name": "another"}], page)
    before = rows(page)
    write_rows([], page)
    assert rows(page) == before
    write_rows([KILLED | {"measured": "2027-01-01, 4 cores", "times": 7}], page)
    after = rows(page)
    assert len(after) == len(before)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [old.split(" | ")[0] for old, _ in changed] == ["| a worker is killed, lmdb"] * 2
    assert all("2027-01-01, 4 cores" in new for _, new in changed)


def test_the_page_that_is_there_can_be_written_again(tmp_path):
    page = tmp_path / "faults.md"
    page.write_text(FAULTS.read_text(encoding="utf-8"), encoding="utf-8")
    write_rows([], page)
    assert page.read_text(encoding="utf-8") == FAULTS.read_text(encoding="utf-8")
