"""Whether the blocks that are no commands hold: parameters, JSON, settings of other programs."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from sgseg.config import load_params
from sgseg.config.params import Params
from sgseg.config.search import SEARCHABLE
from sgseg.errors import InputError

from .markdown import ROOT, Block

KEY = re.compile(r"^(?P<key>[a-z]+(\.[a-z_0-9]+)+)(: (?P<value>.*))?$")
NO_KEYS = {"train.init_md5"}
"""Read like parameters, and are names in MLflow."""
NGINX = "events {{}}\nhttp {{\naccess_log off;\n{}\n}}\n"
CERTIFICATE = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=docs -keyout {} -out {}"


def complaint(block: Block, folder: Path) -> str | None:
    """What is wrong with a block that is no commands, as `folder` for scratch files."""
    check = CHECKS.get(block.language)
    return f"nobody knows what `{block.language}` is" if check is None else check(block, folder)


def wrong_parameters(content: Mapping[str, Any], folder: Path) -> str | None:
    """What is wrong with a piece of params.yaml, or of its `tune.space`, put in its place."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, value in content.items():
        if key.partition(".")[0] in SEARCHABLE and "." in key:
            params["tune"]["space"][key] = value
        else:
            _merge(params, {key: value})
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    try:
        load_params(file)
    except InputError as error:
        return str(error)
    return None


def wrong_key(text: str) -> str | None:
    """What is wrong with inline code that reads like a dotted key of params.yaml."""
    match = KEY.match(text)
    if match is None or match["key"].partition(".")[0] not in Params.model_fields:
        return None
    if match["key"] in NO_KEYS or match["key"].endswith((".yml", ".yaml")):
        return None
    content: Any = load_params(ROOT / "params.yaml").model_dump(by_alias=True)
    for part in match["key"].split("."):
        if not isinstance(content, dict) or part not in content:
            return f"params.yaml has no {match['key']}"
        content = content[part]
    return None


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict) and "name" not in value:
            _merge(into[key], value)
        else:
            into[key] = value


def _yaml(block: Block, folder: Path) -> str | None:
    try:
        content = yaml.safe_load(block.text)
    except yaml.YAMLError as error:
        return str(error)
    is_params = isinstance(content, Mapping) and all(
        str(key).partition(".")[0] in Params.model_fields for key in content
    )
    return wrong_parameters(content, folder) if is_params else None


def _json(block: Block, _: Path) -> str | None:
    try:
        json.loads(block.text)
    except ValueError as error:
        return str(error)
    return None


def _python(block: Block, _: Path) -> str | None:
    try:
        ast.parse(block.text)
    except SyntaxError as error:
        return str(error)
    return None


def _ini(block: Block, _: Path) -> str | None:
    headed = block.text if block.text.startswith("[") else f"[settings]\n{block.text}"
    try:
        configparser.RawConfigParser(strict=False, delimiters="=").read_string(headed)
    except configparser.Error as error:
        return str(error)
    return None


def _nginx(block: Block, folder: Path) -> str | None:
    program = shutil.which("nginx")
    if program is None:
        return None
    key, certificate, settings = (folder / name for name in ("docs.key", "docs.pem", "nginx.conf"))
    _said(*CERTIFICATE.format(key, certificate).split())
    text = re.sub(r"(ssl_certificate_key\s+)\S+;", rf"\g<1>{key};", block.text)
    text = re.sub(r"(ssl_certificate\s+)\S+;", rf"\g<1>{certificate};", text)
    settings.write_text(f"pid {folder / 'pid'};\n" + NGINX.format(text), encoding="utf-8")
    return _said(program, "-t", "-q", "-e", str(folder / "log"), "-c", str(settings))


def _caddy(block: Block, folder: Path) -> str | None:
    program = shutil.which("caddy")
    if program is None:
        return None
    (folder / "Caddyfile").write_text(block.text, encoding="utf-8")
    return _said(program, "validate", "--config", str(folder / "Caddyfile"))


def _said(*command: str) -> str | None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr or f"{command[0]} ends with {done.returncode}" if done.returncode else None


CHECKS: dict[str, Callable[[Block, Path], str | None]] = {
    "caddy": _caddy,
    "ini": _ini,
    "json": _json,
    "mermaid": lambda *_: None,
    "nginx": _nginx,
    "python": _python,
    "text": lambda *_: None,
    "yaml": _yaml,
}
"""By the language of the fence; `sh` is the matter of `check`."""
