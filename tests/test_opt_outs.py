"""Opt-outs: nobody who opted out is ever asked for, whatever becomes of the file."""

import fcntl
import logging
import multiprocessing
import os
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.errors import ConfigError, StagecastError
from serving.opt_outs import OptOuts
from tests.places import ROOT, rest_of

IN_TURN = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "opt_outs.txt"


@pytest.fixture
def opt_outs(path):
    return OptOuts(path)


def test_nobody_opted_out_where_there_has_never_been_a_file(opt_outs, path):
    assert opt_outs.ids() == frozenset()
    path.write_text(" u1 \n\nu2\r\n", encoding="utf-8")
    assert opt_outs.ids() == {"u1", "u2"}


def test_who_is_added_is_seen_at_once_by_all(opt_outs, path):
    others = OptOuts(path)
    assert others.ids() == frozenset()
    for number in range(20):
        opt_outs.add(f"u{number}")
        assert f"u{number}" in opt_outs.ids()
        assert others.ids() == {f"u{i}" for i in range(number + 1)}


def test_nobody_stands_there_twice(opt_outs, path):
    path.write_text("u1\n u2 \n", encoding="utf-8")
    for user_id in ("u1", "u2", "u3", "u3"):
        opt_outs.add(user_id)
    assert path.read_text(encoding="utf-8") == "u1\n u2 \nu3\n"


def test_a_last_line_without_an_end_gets_one_first(opt_outs, path):
    path.write_bytes(b"u1")
    opt_outs.add("u2")
    assert path.read_bytes() == b"u1\nu2\n"


def test_a_mark_at_the_beginning_hides_nobody(opt_outs, path):
    path.write_text("u1\nu2\n", encoding="utf-8-sig")
    assert opt_outs.ids() == {"u1", "u2"}


@pytest.mark.parametrize(
    "user_id", ["", " ", "u1 ", "\tu1", "u\n1", "u1\r", "u\x0b1", "u\u20281", "u\x851", "\ufeffu1"]
)
def test_an_id_that_is_no_line_is_refused_in_words(opt_outs, path, user_id):
    with pytest.raises(StagecastError) as error:
        opt_outs.add(user_id)
    assert str(error.value) == (
        "user_id: opt-outs are kept one id a line, so an id must not be empty, hold a line break, "
        "or begin or end with a blank."
    )
    assert not path.exists()


def test_half_a_character_is_refused_in_words(opt_outs, path):
    with pytest.raises(StagecastError, match=r"^user_id: holds half a character"):
        opt_outs.add("u\ud800")
    assert not path.exists()


@given(st.lists(st.text(st.characters(), max_size=20)))
@example(["用户", "u 1", "\0", "u\u200b"])
def test_what_is_added_is_read_back_and_what_is_refused_is_not(tmp_path_factory, texts):
    opt_outs, added = OptOuts(tmp_path_factory.mktemp("ids") / "opt_outs.txt"), set()
    for text in texts:
        try:
            opt_outs.add(text)
        except StagecastError:
            continue
        added.add(text)
    assert opt_outs.ids() == added


def test_another_file_of_equal_size_in_its_place_is_seen(opt_outs, path, tmp_path):
    path.write_text("u1\n", encoding="utf-8")
    assert opt_outs.ids() == {"u1"}
    other = tmp_path / "other.txt"
    other.write_text("u2\n", encoding="utf-8")
    as_before = path.stat()
    os.utime(other, ns=(as_before.st_atime_ns, as_before.st_mtime_ns))
    other.replace(path)
    assert opt_outs.ids() == {"u2"}


def warnings(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_file_that_is_gone_changes_nothing_and_is_said_once(opt_outs, path, caplog):
    opt_outs.add("u1")
    assert opt_outs.ids() == {"u1"}
    path.unlink()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert opt_outs.ids() == {"u1"}
    assert warnings(caplog) == [
        "The opt-outs file is gone; who stood in it still counts as opted out."
    ]
    path.write_text("u2\n", encoding="utf-8")
    assert opt_outs.ids() == {"u2"}


def test_a_file_that_cannot_be_read_changes_nothing_and_is_said_once(opt_outs, path, caplog):
    opt_outs.add("u1")
    assert opt_outs.ids() == {"u1"}
    path.unlink()
    path.mkdir()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert opt_outs.ids() == {"u1"}
    assert warnings(caplog) == [
        "The opt-outs file cannot be read; who stood in it still counts as opted out."
    ]
    path.rmdir()
    path.write_text("u2\n", encoding="utf-8")
    assert opt_outs.ids() == {"u2"}


def test_a_new_file_in_place_of_one_that_is_gone_gets_everybody(opt_outs, path):
    path.write_bytes(b"u1\nm\xfcller\n")
    opt_outs.ids()
    path.unlink()
    opt_outs.add("u2")
    assert set(path.read_bytes().splitlines()) == {b"u1", b"m\xfcller", b"u2"}
    assert {"u1", "u2"} <= OptOuts(path).ids()


def test_a_file_that_could_never_be_read_leaves_no_answer(opt_outs, path):
    path.mkdir()
    with pytest.raises(ConfigError) as error:
        opt_outs.ids()
    assert str(error.value) == (
        f"[privacy] opt_outs: {path} cannot be read (Is a directory), so nobody can be told from "
        "those who opted out. Let the service read it."
    )
    path.rmdir()
    assert opt_outs.ids() == frozenset()


def test_lines_that_are_not_utf8_hide_nobody_and_are_said_once(opt_outs, path, caplog):
    path.write_text("u1\nmüller\n", encoding="utf-8")
    assert opt_outs.ids() == {"u1", "müller"}
    path.write_text("u2\nmüller\n", encoding="latin-1")
    with caplog.at_level(logging.WARNING):
        assert {"u1", "müller", "u2"} <= opt_outs.ids()
        opt_outs.add("u3")
        assert {"u1", "müller", "u2", "u3"} <= opt_outs.ids()
    assert warnings(caplog) == [
        "The opt-outs file holds lines that are not UTF-8; its other lines count, and so does who "
        "stood in it before."
    ]
    path.write_text("u3\n", encoding="utf-8")
    assert opt_outs.ids() == {"u3"}


def test_a_file_that_cannot_be_written_is_said(opt_outs, path):
    path.mkdir()
    with pytest.raises(ConfigError) as error:
        opt_outs.add("u1")
    assert str(error.value) == (
        f"[privacy] opt_outs: {path} cannot be written (Is a directory), so the opt-out may be "
        "lost. Let the service write it, and send the same again."
    )


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from features.errors import ConfigError
from serving.opt_outs import OptOuts
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
opt_outs = OptOuts(Path(sys.argv[1]))
opt_outs.add("u1")
try:
    opt_outs.add("somebody")
except ConfigError:
    print(sorted(opt_outs.ids()))
"""


@pytest.mark.fault
def test_half_a_line_is_taken_back_where_the_disk_is_full(path):
    said = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, cwd=ROOT
    )
    assert (said.stdout, path.read_bytes()) == ("['u1']\n", b"u1\n")


def add_many(path, own):
    opt_outs = OptOuts(path)
    for number in range(25):
        opt_outs.add(f"{own}{number}")
        opt_outs.add(f"u{number}")


def test_several_processes_at_once_lose_nobody_and_write_nobody_twice(path):
    writers = [IN_TURN.Process(target=add_many, args=(path, own)) for own in "xyz"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted(f"{own}{i}" for own in "uxyz" for i in range(25))


ADDING = """
import sys
from pathlib import Path
from serving.opt_outs import OptOuts
opt_outs = OptOuts(Path(sys.argv[1]))
for number in range(10**9):
    opt_outs.add(f"{sys.argv[2]}-{number}")
    print(f"{sys.argv[2]}-{number}", flush=True)
"""


@pytest.mark.fault
def test_who_was_added_survives_a_kill(path):
    acknowledged = set()
    for kill in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", ADDING, str(path), str(kill)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        acknowledged |= {writer.stdout.readline().strip() for _ in range(3 + 2 * kill)}
        writer.kill()
        rest = rest_of(writer).split("\n")
        acknowledged |= set(rest[:-1])
        found = OptOuts(path).ids()
        assert acknowledged <= found
        assert len(found - acknowledged) <= kill + 1


def test_a_file_that_is_written_anew_under_its_lock_loses_nobody_who_is_added(path, tmp_path):
    adding = IN_TURN.Process(target=add_many, args=(path, "x"))
    path.write_text("gone\n", encoding="utf-8")
    adding.start()
    anew = 0
    while adding.is_alive():
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            other = tmp_path / "other.txt"
            other.write_text("".join(line for line in file if line != "gone\n"), encoding="utf-8")
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                other.replace(path)
                anew += 1
    adding.join(60)
    assert anew > 0
    assert OptOuts(path).ids() == {f"{own}{i}" for own in "ux" for i in range(25)}
