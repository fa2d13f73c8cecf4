"""The files for containers: what can be told of them without an engine."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from helpers.paths import ROOT
from overtone.options.emotion import Options
from overtone.server.settings import Settings
from overtone.system.memory import parse_size
from overtone.wording import flag

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICE: dict[str, Any] = COMPOSE["services"]["overtone"]


def instructions(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in DOCKERFILE.splitlines() if line.startswith(f"{name} ")]


def settings(command: list[str]) -> tuple[Settings, dict[str, str]]:
    """What a command of the service sets of it, and of the model."""
    words = [word for part in command for word in part.split("=", 1)]
    assert words.pop(0) == "serve"
    given = dict(zip(words[::2], words[1::2], strict=True))
    kinds = {flag(name): name for name in Settings.__slots__}
    assert given.keys() <= kinds.keys() | {flag(name) for name in Options.names()}
    own = {kinds[name]: value for name, value in given.items() if name in kinds}
    if "grace_s" in own:
        own |= {"grace_s": float(own["grace_s"])}
    return Settings(**own), {name: value for name, value in given.items() if name not in kinds}


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_images_have_versions_and_no_registry():
    images = [line.split()[0] for line in instructions("FROM")]
    images += [service["image"] for name, service in COMPOSE["services"].items() if "build" not in service]
    assert len(images) == 3
    for image in images:
        assert re.fullmatch(r"[a-z]+:[0-9]+\.[0-9]+-[a-z-]+", image), image


def test_the_image_starts_what_there_is():
    started, of_model = settings(json.loads(instructions("CMD")[-1]))
    assert instructions("ENTRYPOINT") == ['["overtone"]']
    assert (started.host, of_model) == ("0.0.0.0", {})
    assert instructions("EXPOSE") == [str(Settings().port)]
    for variable in re.findall(r"OVERTONE_SERVE_(\w+)=", DOCKERFILE):
        assert variable.lower() in Settings.__slots__
    assert instructions("USER") == ["10001:10001"]
    assert DOCKERFILE.index("USER 10001") < DOCKERFILE.index("ENTRYPOINT")


def test_nothing_secret_is_baked_in():
    assert not re.search(r"^(ARG|ADD)\b|_KEY=|TOKEN|PASSWORD", DOCKERFILE, re.MULTILINE)
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"  # what is not named stays out
    named = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]}
    assert copied == named
    assert all((ROOT / name).exists() for name in named)
    ignored = (DEPLOY / ".gitignore").read_text()
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].removeprefix(".") in ignored


def test_the_health_check_is_python():
    command = json.loads(DOCKERFILE[DOCKERFILE.index("HEALTHCHECK") :].split("CMD", 1)[1].splitlines()[0])
    assert command[:2] == ["python", "-c"]
    ast.parse(command[2])
    assert f":{Settings().port}/readyz" in command[2]


def test_the_limits_of_compose_fit_together():
    started, of_model = settings(SERVICE["command"])
    limit_bytes = parse_size(SERVICE["mem_limit"].replace("m", "MiB"))
    assert limit_bytes == parse_size(of_model["--memory"]) * 5 // 4
    assert seconds(SERVICE["stop_grace_period"]) > started.grace_s + 10
    assert [f"/run/secrets/{name}" for name in SERVICE["secrets"]] == [started.keys, started.cache_secret_file]
    assert SERVICE["secrets"] == list(COMPOSE["secrets"])
    assert SERVICE["ports"] == [f"127.0.0.1:{started.port}:{started.port}"]
    assert started.cache.startswith("redis://redis:")
    for service in COMPOSE["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["mem_limit"] == service["memswap_limit"]
    assert (DEPLOY / SERVICE["build"]["context"]).resolve() == ROOT
    assert (ROOT / SERVICE["build"]["dockerfile"]).is_file()


def test_only_the_service_reaches_redis():
    redis = COMPOSE["services"]["redis"]
    assert redis["networks"] == ["answers"]
    assert COMPOSE["networks"]["answers"] == {"internal": True}
    assert "ports" not in redis


def test_redis_takes_its_options():
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    command = COMPOSE["services"]["redis"]["command"]
    # Redis reads all of it before it finds that the last setting is none.
    ran = subprocess.run(
        [*command, "--no-such-setting", "1"], capture_output=True, encoding="utf-8", timeout=20, check=False
    )
    assert ran.returncode != 0
    assert "no-such-setting" in ran.stderr + ran.stdout
    assert (ran.stderr + ran.stdout).count(">>>") == 1, ran.stderr


def test_the_command_without_compose_has_the_same_bounds():
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    docker run -d (?:.*\\\n)*.*", page, re.MULTILINE)
    bounds, _, words = " ".join(command.replace("\\\n", " ").split()).rpartition(" overtone ")
    name, *flags = words.split()
    joined = [f"{flag}={value}" for flag, value in zip(flags[::2], flags[1::2], strict=True)]
    own, of_model = settings([name, *joined])
    assert own == settings(SERVICE["command"])[0].replace(cache=own.cache, cache_secret_file=None)
    assert of_model == settings(SERVICE["command"])[1]
    assert f"--memory {SERVICE['mem_limit']} " in bounds
    assert f"--stop-timeout {seconds(SERVICE['stop_grace_period']):g} " in bounds
    assert f"-p {SERVICE['ports'][0]} " in bounds
