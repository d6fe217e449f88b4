"""Compose files: whether the program understands them, and what is open to others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deployment import programs
from tests.deployment.compose_files import processes, published_ports, read
from tests.deployment.image import environment
from tests.deployment.modules import load_from
from tests.docs.pages import ROOT

SINGLE = (ROOT / "docker-compose.yml",)
CLUSTER = (*SINGLE, ROOT / "docker-compose.cluster.yml")
IMAGE = environment()
both = pytest.mark.parametrize("files", [SINGLE, CLUSTER], ids=["one broker", "three brokers"])


@both
def test_the_program_takes_arguments_and_environment(files: tuple[Path, ...]) -> None:
    found = processes(read(*files), IMAGE)
    assert [each.arguments[0] for each in found] == ["apply", "route", "work"]
    assert [problem for each in found for problem in programs.find_problems(each)] == []


@both
def test_the_image_is_built_by_one_and_pulled_by_none(files: tuple[Path, ...]) -> None:
    ours = {name: s for name, s in read(*files).items() if programs.is_ours(s["image"])}
    assert [name for name, service in ours.items() if "build" in service] == ["apply"]
    assert {service["pull_policy"] for service in ours.values()} == {"never"}


@both
def test_brokers_are_where_the_settings_say(files: tuple[Path, ...]) -> None:
    services = read(*files)
    advertised = {
        address.removeprefix("INSIDE://")
        for service in services.values()
        for address in service["environment"].get("KAFKA_ADVERTISED_LISTENERS", "").split(",")
        if address.startswith("INSIDE://")
    }
    assert {address.split(":")[0] for address in advertised} == {
        name for name, service in services.items() if service["image"].startswith("apache/kafka")
    }
    for each in processes(services, IMAGE):
        assert set(programs.load_settings(each).bootstrap_servers.split(",")) == advertised


@both
def test_ports_are_open_to_this_machine_only_and_each_is_used_once(files: tuple[Path, ...]) -> None:
    ports = published_ports(read(*files).values())
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


@both
def test_ports_can_be_chosen(files: tuple[Path, ...]) -> None:
    names = ("KAFKA_PORT", "KAFKA_2_PORT", "KAFKA_3_PORT", "HEALTH_PORT")
    chosen = {name: str(20_000 + number) for number, name in enumerate(names)}
    services = read(*files, variables=chosen)
    for service in services.values():
        for port in service.get("ports", []):
            _, outside, inside = port.split(":")
            assert outside in chosen.values()
            if inside == "9092":
                advertised = service["environment"]["KAFKA_ADVERTISED_LISTENERS"]
                assert advertised.startswith(f"HOST://127.0.0.1:{outside},")


@both
def test_kafka_makes_no_topics_by_itself_and_keeps_its_data(files: tuple[Path, ...]) -> None:
    brokers = [s for s in read(*files).values() if s["image"].startswith("apache/kafka")]
    mounted = [tuple(volume.split(":")) for each in brokers for volume in each["volumes"]]
    assert {where for _, where in mounted} == {"/var/lib/kafka/data"}
    assert len({name for name, _ in mounted}) == len(brokers)
    for broker in brokers:
        assert broker["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
        assert broker["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"


def test_nodes_differ_only_in_what_is_their_own() -> None:
    brokers = [s for s in read(*CLUSTER).values() if s["image"].startswith("apache/kafka")]
    own = ("KAFKA_NODE_ID", "KAFKA_ADVERTISED_LISTENERS")
    environments = [
        {name: value for name, value in broker["environment"].items() if name not in own}
        for broker in brokers
    ]
    assert environments[1:] == environments[:-1]
    own_keys = {"environment", "ports", "volumes"}
    rest = [{key: broker[key] for key in broker.keys() - own_keys} for broker in brokers]
    assert rest[1:] == rest[:-1]


def test_three_brokers_keep_three_replicas() -> None:
    apply, _, work = processes(read(*CLUSTER), IMAGE)
    for each in (apply, work):
        settings = programs.load_settings(each)
        assert (settings.replication_factor, settings.min_insync_replicas) == (3, 2)


@both
def test_the_worker_runs_only_where_it_is_asked_for(files: tuple[Path, ...]) -> None:
    profiles = {name: service.get("profiles") for name, service in read(*files).items()}
    assert {name for name, profile in profiles.items() if profile} == {"billing"}


def test_the_worker_s_module_is_mounted_where_it_runs() -> None:
    service = read(*SINGLE)["billing"]
    (volume,) = service["volumes"]
    source, where, _ = volume.split(":")
    assert where == service["working_dir"]
    assert load_from(ROOT / source, service["command"][1]) == "billing"


@both
def test_processes_can_write_nothing_and_gain_no_rights(files: tuple[Path, ...]) -> None:
    for name, service in read(*files).items():
        if programs.is_ours(service["image"]):
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert all(volume.endswith(":ro") for volume in service.get("volumes", []))


def test_a_misspelt_setting_is_found() -> None:
    services = read(*SINGLE)
    services["router"]["environment"]["PLATFORM_EVENTS_BOOTSTRAP"] = "kafka:19092"
    _, route, _ = processes(services, IMAGE)
    assert any("BOOTSTRAP is no setting" in each for each in programs.find_problems(route))


def test_a_short_grace_period_is_found() -> None:
    services = read(*SINGLE)
    del services["router"]["stop_grace_period"]
    _, route, _ = processes(services, IMAGE)
    assert any("killed after 10 s" in each for each in programs.find_problems(route))
