import os
import pwd
import re
import shutil
from pathlib import Path

import pytest
from tests.host.proc import eventually, is_running

from doze_sdk.engine import Ready, SpawnPlan, SpawnSpec
from doze_sdk.host import Account, AccountError, Reaper, make_run_folder, start

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as another account")
ME = pwd.getpwuid(os.geteuid()).pw_name


def test_an_unknown_account_is_refused():
    with pytest.raises(AccountError, match="there is no account 'no-such-account' on this machine"):
        Account.named("no-such-account")


def test_ones_own_account_changes_nothing(folder):
    account = Account.named(ME)

    assert account.is_current
    account.own(folder)
    spec = SpawnSpec(
        name="main", bin="/bin/sh", args=("-c", "id -u; exec sleep 60"), ready=Ready(kind="log_line", target=".")
    )
    with start(SpawnPlan.single(spec), log_dir=folder, reaper=None, account=account) as unit:
        assert unit.log() == f"{os.geteuid()}\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may run a process as any account")
def test_an_ordinary_account_cannot_name_another():
    with pytest.raises(
        AccountError, match=f"only root can run a process as 'root'; this process is uid {os.geteuid()}"
    ):
        Account.named("root")


@pytest.fixture
def nobody():
    return Account.named("nobody")


@pytest.fixture
def home(nobody):
    made = make_run_folder(account=nobody)
    yield made
    shutil.rmtree(made)


@as_root
def test_processes_probes_and_hooks_run_as_the_account_and_without_roots_groups(nobody, home, monkeypatch):
    groups = os.getgroups()
    os.setgroups([0, 4, 27])
    try:
        who = "id -u; id -g; id -G; pwd"
        spec = SpawnSpec(
            name="main",
            bin="/bin/sh",
            args=("-c", f"{{ {who}; }}; echo up; exec sleep 60"),
            dir=home,
            ready=Ready(kind="exec", target=f"{{ {who}; }} > {home}/probe"),
            hooks=(f"{{ {who}; }} > {home}/hook",),
        )
        with start(SpawnPlan.single(spec), log_dir=home / "logs", reaper=None, account=nobody, cwd=home) as unit:
            assert eventually(lambda: "up" in unit.log())
            expected = f"{nobody.uid}\n{nobody.gid}\n{nobody.gid}\n{home}\n"
            assert unit.log() == expected + "up\n"
            assert (home / "probe").read_text() == (home / "hook").read_text() == expected
    finally:
        os.setgroups(groups)


@as_root
def test_supplementary_groups_can_be_given(nobody, home):
    account = Account(name="nobody", uid=nobody.uid, gid=nobody.gid, groups=(4, 27))
    spec = SpawnSpec(
        name="main", bin="/bin/sh", args=("-c", "id -G; exec sleep 60"), ready=Ready(kind="log_line", target=".")
    )
    with start(SpawnPlan.single(spec), log_dir=home, reaper=None, account=account, cwd=home) as unit:
        assert unit.log() == f"{nobody.gid} 4 27\n"


@as_root
def test_the_stop_ladder_and_the_reaper_reach_processes_of_the_account(nobody, home):
    spec = SpawnSpec(
        name="main", bin="/bin/sh", args=("-c", "echo up; exec sleep 60"), ready=Ready(kind="log_line", target=".")
    )
    with start(SpawnPlan.single(spec), log_dir=home, reaper=None, account=nobody, cwd=home) as stopped:
        pass
    with Reaper() as reaper:
        left = start(SpawnPlan.single(spec), log_dir=home, reaper=reaper, account=nobody, cwd=home)

    assert not is_running(stopped.pid)
    assert not is_running(left.pid)
    left.stop()


@as_root
def test_the_log_belongs_to_the_account(nobody, home):
    spec = SpawnSpec(
        name="main",
        bin="/bin/sh",
        args=("-c", "echo up > /dev/stdout; exec sleep 60"),
        ready=Ready(kind="log_line", target="up"),
    )
    with start(SpawnPlan.single(spec), log_dir=home, reaper=None, account=nobody, cwd=home) as unit:
        assert unit.processes["main"].log.path.stat().st_uid == nobody.uid


@as_root
def test_a_program_behind_a_closed_folder_is_refused_with_the_folder_that_stops_it(nobody, home):
    closed = make_run_folder()
    program = closed / "bin" / "engine"
    program.parent.mkdir()
    shutil.copy("/bin/true", program)
    with pytest.raises(AccountError) as caught:
        start(
            SpawnPlan.single(SpawnSpec(name="main", bin=program)),
            log_dir=home / "logs",
            reaper=None,
            account=nobody,
            cwd=home,
        )
    shutil.rmtree(closed)

    assert str(caught.value) == f"the account 'nobody' cannot run {program}: {closed} is mode 0700, owner root"


@as_root
def test_a_program_behind_a_link_into_a_closed_folder_is_refused_as_well(nobody, home):
    closed = make_run_folder()
    shutil.copy("/bin/true", closed / "engine")
    (home / "engine").symlink_to(closed / "engine")
    with pytest.raises(AccountError, match=f"cannot run {home}/engine: {closed} is mode 0700, owner root"):
        nobody.check_reach(home / "engine")
    shutil.rmtree(closed)


@as_root
def test_a_program_that_is_not_executable_is_refused(nobody, home):
    (home / "engine").touch(mode=0o644)
    with pytest.raises(
        AccountError, match=re.escape(f"cannot run {home}/engine: {home}/engine is mode 0644, owner root")
    ):
        nobody.check_reach(home / "engine")


@as_root
def test_a_working_folder_that_the_account_cannot_enter_is_refused(nobody, home):
    closed = make_run_folder()
    spec = SpawnSpec(name="main", bin="/bin/sh", dir=closed)
    with pytest.raises(
        AccountError, match=f"the account 'nobody' cannot enter {closed}: {closed} is mode 0700, owner root"
    ):
        start(SpawnPlan.single(spec), log_dir=home / "logs", reaper=None, account=nobody, cwd=home)
    closed.rmdir()


@as_root
def test_a_program_that_everybody_may_run_is_within_reach(nobody):
    nobody.check_reach(Path("/bin/sh"))
