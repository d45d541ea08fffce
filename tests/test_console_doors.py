"""Who may see the console: passwords, tries that were wrong, and hosts that are refused."""

import io
import json
import stat

import pytest

from features.errors import ConfigError
from serving.console.attempts import Attempts
from serving.console.passwords import UserFile
from tests.worlds import plain_log, refusal, stagecast, written_world

PASSWORD = "three little words"


@pytest.fixture
def file(tmp_path):
    return UserFile(tmp_path / "users.json")


@pytest.fixture
def config(tmp_path):
    return written_world(tmp_path / "world", plain_log(day=[0, 1, 2]), tmp_path / "no.db")


def asked(monkeypatch, password, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    return stagecast("console-user", *arguments)


def test_a_user_gets_in_with_the_password_and_with_no_other(file):
    assert file.keep("anna", PASSWORD)
    assert file.lets_in("anna", PASSWORD)
    assert not file.lets_in("anna", PASSWORD + " ")
    assert not file.lets_in("bob", PASSWORD)
    assert not file.lets_in("bob", "")


def test_the_file_holds_no_password_and_only_its_owner_reads_it(file):
    file.keep("anna", PASSWORD)
    file.keep("bob", PASSWORD)
    text = file.path.read_text()
    assert PASSWORD not in text
    one, other = json.loads(text)["users"].values()
    assert one != other, "the same password has the same hash for two users"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_password_is_the_same_however_its_letters_are_composed(file):
    file.keep("anna", "cafe\u0301 au lait chaud")
    assert file.lets_in("anna", "caf\u00e9 au lait chaud")


def test_a_new_password_takes_the_place_of_the_old_one(file):
    file.keep("anna", PASSWORD)
    assert not file.keep("anna", "another password")
    assert not file.lets_in("anna", PASSWORD)
    assert file.lets_in("anna", "another password")


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "short"), ("", PASSWORD), ("a/b", PASSWORD)]
)
def test_names_and_passwords_that_will_not_do_are_refused(file, name, password):
    with pytest.raises(ConfigError, match=r"letters"):
        file.keep(name, password)
    assert not file.exists


@pytest.mark.parametrize("text", ["", "{", '{"users": {"anna": {"salt": "x", "scrypt": "00"}}}'])
def test_a_broken_file_lets_nobody_in_and_is_not_overwritten(file, text):
    file.path.write_text(text)
    for ask in (file.names, lambda: file.lets_in("anna", "x"), lambda: file.keep("bob", PASSWORD)):
        with pytest.raises(ConfigError, match="no file of the console's users"):
            ask()
    assert file.path.read_text() == text


def test_wrong_passwords_make_a_name_wait_longer_and_longer_and_a_right_one_ends_that():
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    waits = []
    for _ in range(14):
        attempts.wrong("anna")
        waits.append(attempts.wait("anna"))
    assert waits == [0, 0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert attempts.wait("bob") == 0
    now[0] = 299.0
    assert attempts.wait("anna") == 1
    attempts.right("anna")
    assert attempts.wait("anna") == 0


def test_trying_many_names_makes_all_names_wait():
    attempts = Attempts(clock=lambda: 0.0)
    for number in range(31):
        attempts.wrong(f"user{number}")
    assert attempts.wait("anna") == 2


def test_the_command_makes_and_removes_users(config, monkeypatch):
    made = asked(monkeypatch, PASSWORD, config, "anna", "--json").json
    assert made["new"]
    assert UserFile(config.with_name("console-users.json")).lets_in("anna", PASSWORD)
    outcome = stagecast("console-user", config, "anna", "--remove", "--json")
    assert outcome.json == {"name": "anna", "removed": True, "left": 0}
    assert "nobody can sign in" in " ".join(outcome.err.split())
    assert "is no user of the console (there is nobody)" in refusal(
        "console-user", config, "anna", "--remove"
    )


@pytest.mark.parametrize("emptied", [False, True])
def test_another_host_is_refused_while_nobody_can_sign_in(config, monkeypatch, emptied):
    if emptied:
        asked(monkeypatch, PASSWORD, config, "anna")
        stagecast("console-user", config, "anna", "--remove")
    outcome = stagecast("console", config, "--host", "0.0.0.0")
    assert outcome.code == 2
    assert "can be reached from other machines" in outcome.err
    assert f"stagecast console-user {config} NAME" in outcome.err
