from pathlib import Path

import pytest
from doze_sdk import engine
{% from "literals.jinja" import import_from with context %}
{{ import_from("config", "Settings") }}
{{ import_from("driver", "Driver") }}

TOOLCHAIN = engine.Toolchain(engine=Driver.type)


def instance(folder: Path) -> engine.Instance[Settings]:
    root = folder / "public"
    root.mkdir(exist_ok=True)
    return engine.Instance(
        name="site",
        type=Driver.type,
        spec=Settings(root=root, header=[]),
        data_dir=folder / "data",
        socket_dir=folder / "run",
        port=5432,
    )


def test_the_module_offers_what_the_host_expects() -> None:
    assert engine.capabilities(Driver()) == {"spawner", "versionless"}


def test_provisioning_again_changes_nothing(tmp_path: Path) -> None:
    driver, site = Driver(), instance(tmp_path)
    driver.provision(site, TOOLCHAIN)
    kept = site.data_dir / "kept"
    kept.write_text("here")
    driver.provision(site, TOOLCHAIN)
    assert kept.read_text() == "here"
    assert driver.provisioned(site.data_dir)


def test_a_missing_root_is_refused_by_name(tmp_path: Path) -> None:
    site = instance(tmp_path)
    site.spec.root.rmdir()
    with pytest.raises(engine.EngineError, match=r"root: .*public is no folder"):
        Driver().provision(site, TOOLCHAIN)


def test_the_plan_waits_for_the_backend_socket(tmp_path: Path) -> None:
    driver, site = Driver(), instance(tmp_path)
    (process,) = driver.plan(site, TOOLCHAIN).specs
    assert process.ready is not None
    assert process.ready.target == str(driver.backend_socket(site.socket_dir, site.port))


def test_the_url_has_the_address_as_the_host_gave_it(tmp_path: Path) -> None:
    link = Driver().conn_string(instance(tmp_path), engine.Endpoint(tcp_addr="site.stack.doze:8080"))
    assert link.env_var == f"{Driver.type.upper()}_URL"
    assert link.url == "http://site.stack.doze:8080"


def test_an_instance_that_listens_on_a_socket_alone_has_no_url(tmp_path: Path) -> None:
    assert Driver().conn_string(instance(tmp_path), engine.Endpoint()) == engine.ConnString()
