"""The secrets that a first start writes into `.env`."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.env import SettingError
from gateway.envfile import ensure_secrets, replace
from tests.harness import BASE_DIR, clean_environment


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SECRET_KEY", "KEY_PEPPER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEWAY_ENV_FILE", str(tmp_path / ".env"))
    return tmp_path / ".env"


@pytest.fixture
def loose_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_both_secrets_are_made(path: Path) -> None:
    ensure_secrets()
    made = dotenv_values(path)
    assert set(made) == {"SECRET_KEY", "KEY_PEPPER"}
    assert all(value and len(value) >= 64 for value in made.values())
    assert made["SECRET_KEY"] != made["KEY_PEPPER"]


def test_the_file_is_private_under_a_loose_umask(path: Path, loose_umask: None) -> None:
    ensure_secrets()
    assert mode(path) == 0o600


def test_a_file_that_takes_secrets_becomes_private(path: Path) -> None:
    path.write_text("PORT=8100\n")
    path.chmod(0o644)
    ensure_secrets()
    assert mode(path) == 0o600


def test_a_second_start_keeps_them(path: Path) -> None:
    ensure_secrets()
    before = path.read_bytes()
    ensure_secrets()
    assert path.read_bytes() == before


def test_what_stands_in_the_file_is_kept(path: Path) -> None:
    path.write_text("# mine\nPORT=8100\nSECRET_KEY=chosen")  # no line break at the end
    ensure_secrets()
    assert path.read_text().startswith("# mine\nPORT=8100\nSECRET_KEY=chosen\nKEY_PEPPER=")
    assert dotenv_values(path)["SECRET_KEY"] == "chosen"


def test_an_empty_secret_counts_as_missing(path: Path) -> None:
    path.write_text("SECRET_KEY=\nKEY_PEPPER=\n")
    ensure_secrets()
    assert all(dotenv_values(path).values())


def test_nothing_is_written_when_the_environment_has_both(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "chosen")
    monkeypatch.setenv("KEY_PEPPER", "chosen too")
    ensure_secrets()
    assert not path.exists()


def test_first_starts_at_once_agree_on_one_pair(path: Path) -> None:
    say = "import gateway.env, gateway.envfile as e; e.ensure_secrets(); print(gateway.env.read().KEY_PEPPER)"
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", say],
            cwd=BASE_DIR,
            env=clean_environment(GATEWAY_ENV_FILE=str(path)),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    said = {start.communicate(timeout=60)[0] for start in starts}
    assert len(said) == 1
    assert said == {f"{dotenv_values(path)['KEY_PEPPER']}\n"}
    assert len(path.read_text().splitlines()) == 2


def test_a_link_is_followed_and_stays_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    path.symlink_to(tmp_path / "elsewhere")
    ensure_secrets()
    assert path.is_symlink()
    assert "KEY_PEPPER=" in (tmp_path / "elsewhere").read_text()


def test_a_device_takes_no_secrets_and_keeps_its_mode(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ENV_FILE", os.devnull)
    before = mode(Path(os.devnull))
    with pytest.raises(SettingError, match="set both in the environment"):
        ensure_secrets()
    assert mode(Path(os.devnull)) == before


def test_a_place_that_can_not_be_written_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ENV_FILE", str(path / "below" / ".env"))
    with pytest.raises(SettingError, match=r"can't take them \(No such file or directory\): make it writable, or set"):
        ensure_secrets()


def test_a_full_disk_leaves_no_half_secret(path: Path) -> None:
    path.write_text("PORT=8100\n")
    fill = (
        "import resource, signal; import gateway.envfile as e;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60, resource.RLIM_INFINITY)); e.ensure_secrets()"
    )
    done = subprocess.run(
        [sys.executable, "-c", fill],
        cwd=BASE_DIR,
        env=clean_environment(GATEWAY_ENV_FILE=str(path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "can't take them (the disk is full)" in done.stderr
    assert path.read_text() == "PORT=8100\n"


# Characters at which `str.splitlines` cuts, though they end no line of `.env`.
SOFT_BREAKS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def test_replacing_a_value_keeps_the_rest_byte_for_byte(path: Path) -> None:
    before = (
        "# a comment\r\nexport PORT=8100\r\n"
        f"WEBHOOK_URL='https://example.com/{SOFT_BREAKS}'\n"
        'NOTE="two\nKEY_PEPPER=lines"\n'
    )
    path.write_bytes(f"{before}export KEY_PEPPER=old\nLAST=1".encode())
    replace({"KEY_PEPPER": "new"})
    assert path.read_bytes().decode() == f"{before}LAST=1\nKEY_PEPPER=new\n"


@given(value=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0$\r"), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example(value="a #b")
@example(value="'quoted' \\ twice\\'")
@example(value="ends in a backslash\\")
def test_any_value_is_read_back_as_it_was_given(path: Path, value: str) -> None:
    replace({"KEY_PEPPER": value, "SECRET_KEY": "x"})
    assert dotenv_values(path) == {"KEY_PEPPER": value, "SECRET_KEY": "x"}


def test_a_value_that_the_file_can_not_hold_leaves_it_alone(path: Path) -> None:
    path.write_text("KEY_PEPPER=old\n")
    with pytest.raises(OSError, match="KEY_PEPPER"):
        replace({"KEY_PEPPER": "a${PATH}b"})
    assert [(each.name, each.read_text()) for each in path.parent.iterdir()] == [(".env", "KEY_PEPPER=old\n")]


def test_replacing_follows_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("PORT=8100\n")
    path.symlink_to(tmp_path / "real")
    replace({"KEY_PEPPER": "new"})
    assert path.is_symlink()
    assert (tmp_path / "real").read_text() == "PORT=8100\nKEY_PEPPER=new\n"
