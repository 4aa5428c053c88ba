"""The doctor: each check finds the fault that it is there for, and says what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from automation import database
from automation.engines.engine import EngineName
from automation.servers import doctor, processes
from automation.servers.doctor import Finding, Verdict
from automation.servers.processes import Server
from automation.settings import Settings


def right(finding: Finding) -> bool:
    assert bool(finding.remedy) == (finding.verdict is Verdict.WRONG)
    return finding.verdict is Verdict.RIGHT


def test_python() -> None:
    assert right(doctor.python_version((3, 11)))
    assert not right(doctor.python_version((3, 12)))


def test_packages(tmp_path: Path) -> None:
    assert right(doctor.packages())
    lock = tmp_path / "requirements.lock"
    assert not right(doctor.packages(lock))
    lock.write_text(
        "click==0.1 \\\n    --hash=sha256:0\n    # via warrant\nnot-there==1.0 \\\n    --hash=sha256:0\n"
        "only-elsewhere==1 ; sys_platform == 'win32' \\\n    --hash=sha256:0\n"
    )
    finding = doctor.packages(lock)
    assert not right(finding)
    assert "click is" in finding.detail
    assert "not-there is missing, not 1.0" in finding.detail
    assert "only-elsewhere" not in finding.detail


def test_home(settings: Settings, tmp_path: Path) -> None:
    assert right(doctor.home(settings))
    (tmp_path / "file").touch()
    assert not right(doctor.home(Settings(home=tmp_path / "file" / "home")))


def test_disk_space(settings: Settings) -> None:
    assert right(doctor.disk_space(settings, needed_bytes=1))
    assert not right(doctor.disk_space(settings, needed_bytes=1 << 62))


def test_an_embedded_database_is_tried_and_left_stopped(settings: Settings) -> None:
    assert right(doctor.database_answers(settings))
    assert database.postmaster(settings) is None


def test_foreign_models_and_what_keeps_them_in() -> None:
    finding = doctor.foreign_models()
    assert right(finding)
    assert "Landlock" in finding.detail
    assert "seccomp" in finding.detail


def test_a_database_without_our_schemas(settings: Settings) -> None:
    database.start(settings)
    finding = doctor.database_answers(settings)
    assert not right(finding)
    assert "dagster, mlflow, feast, warrant" in finding.detail
    database.prepare(settings)
    assert right(doctor.database_answers(settings))
    assert database.postmaster(settings) is not None


def test_an_unreachable_database(settings: Settings) -> None:
    address = SecretStr(f"postgresql://u:sEcret@127.0.0.1:{settings.mlflow_port}/d")
    finding = doctor.database_answers(Settings(home=settings.home, database_url=address))
    assert not right(finding)
    assert "sEcret" not in str(finding)


def test_ports(settings: Settings) -> None:
    assert right(doctor.ports_free(settings))
    with socket.create_server((settings.host, settings.dagster_port)):
        finding = doctor.ports_free(settings)
        assert not right(finding)
        assert f"(pid {os.getpid()})" in finding.detail
    assert not right(doctor.ports_free(settings.model_copy(update={"host": "192.0.2.1"})))


def test_a_code_location(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("")
    (tmp_path / "bad.py").write_text("import no_such_module_here")
    assert right(doctor.code_location("good", tmp_path))
    finding = doctor.code_location("bad", tmp_path)
    assert not right(finding)
    assert "no_such_module_here" in finding.detail


def test_a_server_that_ended_by_itself(settings: Settings) -> None:
    assert right(doctor.state_files(settings))
    settings.home.mkdir()
    record = processes.launch(settings, Server.DAEMON, ["sleep", "600"], variables={}, folder=settings.home)
    assert right(doctor.state_files(settings))
    processes.end(record)
    finding = doctor.state_files(settings)
    assert not right(finding)
    assert "dagster-daemon" in finding.detail


def test_the_lakehouse(settings: Settings, tmp_path: Path) -> None:
    assert right(doctor.lakehouse(settings))
    assert not (settings.home / "lakehouse" / "_doctor").exists()
    (tmp_path / "file").touch()
    assert not right(doctor.lakehouse(Settings(lakehouse_url=str(tmp_path / "file" / "lake"))))


def test_dagster_home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert right(doctor.dagster_home(settings))
    database.configure_environment(settings)
    assert right(doctor.dagster_home(settings))
    (settings.dagster_home / "dagster.yaml").write_text("edited: true")
    assert not right(doctor.dagster_home(settings))
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere")
    assert not right(doctor.dagster_home(settings))


def test_one_fault_makes_the_exit_code_1(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    for verdict, code in ((Verdict.RIGHT, 0), (Verdict.WRONG, 1)):
        monkeypatch.setattr(doctor, "examine", lambda _, v=verdict: [Finding("One", v, "detail", "remedy")])
        assert CliRunner().invoke(doctor.command, ["--json"]).exit_code == code


def test_spark(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = settings.model_copy(update={"engine": EngineName.SPARK})
    assert right(doctor.spark(wanted))
    assert doctor.spark(settings).detail.endswith("nothing computes on it")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert right(doctor.spark(settings))
    finding = doctor.spark(wanted)
    assert not right(finding)
    assert "WARRANT_ENGINE=spark computes on spark, but there is no Java" in finding.detail
