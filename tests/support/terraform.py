"""Terraform itself, with stand-ins for its providers that know the published schemas and create nothing.

The stand-ins speak Terraform's plugin protocol (version 6), and Terraform finds them by TF_REATTACH_PROVIDERS, as a
provider's own tests do. So `validate`, `plan` and `apply` run on a machine that reaches no registry: expressions,
conditions, counts and references are evaluated for real, arguments are held against the schemas, and what only the
cloud knows (an id, an address) is made up.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from .processes import ROOT

FOLDER = ROOT / "deploy" / "terraform"
SCHEMAS = ROOT / "tests" / "data" / "terraform_providers.json"
"""Written by tests.support.provider_schemas."""
YANDEX_FOLDER = ROOT / "deploy" / "yandex"
YANDEX_SCHEMAS = ROOT / "tests" / "data" / "yandex_provider.json"
"""Written by tests.support.yandex_schemas."""

PROTOCOL = """
syntax = "proto3";
package tfplugin6;
message Value { bytes msgpack = 1; bytes json = 2; }
message Attribute {
  string name = 1; bytes type = 2; bool required = 4; bool optional = 5; bool computed = 6; bool write_only = 11;
}
message Block { repeated Attribute attributes = 2; repeated Nested block_types = 3; }
message Nested { string type_name = 1; Block block = 2; int32 nesting = 3; int64 min_items = 4; int64 max_items = 5; }
message Schema { int64 version = 1; Block block = 2; }
message Schemas {
  Schema provider = 1; map<string, Schema> resource_schemas = 2; map<string, Schema> data_source_schemas = 3;
}
message Request {}
message Nothing {}
message Stored { bytes json = 1; }
message Upgrade { string type_name = 1; Stored raw_state = 3; }
message Upgraded { Value upgraded_state = 1; }
message Read { string type_name = 1; Value current_state = 2; }
message WasRead { Value new_state = 1; }
message Plan { string type_name = 1; Value prior_state = 2; Value proposed_new_state = 3; }
message Planned { Value planned_state = 1; bool legacy_type_system = 5; }
message Apply { string type_name = 1; Value planned_state = 3; }
message Applied { Value new_state = 1; bool legacy_type_system = 4; }
message ReadData { string type_name = 1; Value config = 2; }
message Data { Value state = 1; }
"""
"""What is used of the protocol, in its own numbers (docs/plugin-protocol/tfplugin6.proto of hashicorp/terraform)."""
NESTING = {"single": 1, "list": 2, "set": 3}
PROGRAM = shutil.which("terraform")
"""Terraform's program; None where it is not installed."""
UNKNOWN = msgpack.ExtType(0, b"\x00")
PROJECT, NUMBER = "my-project", "123456789012"

Schema = dict[str, Any]


@cache
def _messages() -> dict[str, Any]:
    """The messages' classes, compiled from `PROTOCOL`."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plugin.proto").write_text(PROTOCOL, "utf-8")
        output = Path(folder) / "set"
        assert protoc.main(["", f"-I{folder}", f"--descriptor_set_out={output}", "plugin.proto"]) == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(files.file[0])
    classes = message_factory.GetMessageClassesForFiles(["plugin.proto"], pool)
    return {key.removeprefix("tfplugin6."): value for key, value in classes.items()}


def message(name: str) -> Any:
    """A message's class."""
    return _messages()[name]


def read_schemas(file: Path = SCHEMAS) -> dict[str, Any]:
    """The published schemas, by provider."""
    schemas: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return schemas


def _block(schema: Schema) -> Any:
    """A block of a schema as the protocol has it."""
    block = message("Block")()
    for name, (kind, mode) in schema.get("attributes", {}).items():
        words = mode.split()
        block.attributes.add(name=name, type=json.dumps(kind).encode(), **dict.fromkeys(words, True))
    for name, inner in schema.get("blocks", {}).items():
        limits = {"min_items": inner.get("min", 0), "max_items": inner.get("max", 0)}
        limits = {} if inner["nesting"] == "single" else limits
        block.block_types.add(type_name=name, block=_block(inner), nesting=NESTING[inner["nesting"]], **limits)
    return block


def fill(schema: Schema, value: Any, made: Any, path: str = "") -> Any:
    """A block's value in which what the cloud decides, and is not known, is what `made(path, type)` gives."""
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, (kind, mode) in schema.get("attributes", {}).items():
        if "computed" in mode and (value.get(name) is None or value.get(name) == UNKNOWN):
            filled[name] = made(f"{path}{name}", kind)
    for name, inner in schema.get("blocks", {}).items():
        own = value.get(name)
        if isinstance(own, list):
            filled[name] = [fill(inner, item, made, f"{path}{name}.") for item in own]
        elif isinstance(own, dict):
            filled[name] = fill(inner, own, made, f"{path}{name}.")
    return filled


def invent(type_name: str, value: Mapping[str, Any], path: str, kind: Any) -> Any:
    """What a cloud could have answered for an attribute that it decides."""
    if path in ("email", "member") and type_name in ("google_service_account", "google_project_service_identity"):
        account = value.get("account_id") or f"service-{NUMBER}-{value.get('service')}"
        email = f"{account}@{PROJECT}.iam.gserviceaccount.com"
        return email if path == "email" else f"serviceAccount:{email}"
    texts = {"project": PROJECT, "number": NUMBER, "project_number": NUMBER}
    fixed = {"number": 1, "bool": False, "string": texts.get(path, f"{type_name}:{path}")}
    if isinstance(kind, str):
        return fixed.get(kind)
    if isinstance(kind[1], list):  # of objects
        return [{name: invent(type_name, value, f"{path}.{name}", inner) for name, inner in kind[1][1].items()}]
    return {} if kind[0] == "map" else []


class StandIn:
    """One provider: answers Terraform's calls by the schemas."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        """Takes the provider's schemas."""
        self.schemas = schemas

    def get_provider_schema(self, _: Any) -> Any:
        """All schemas."""
        schemas = message("Schemas")()
        schemas.provider.block.CopyFrom(_block(self.schemas["provider"]))
        for kind, target in (("resources", schemas.resource_schemas), ("data", schemas.data_source_schemas)):
            for name, schema in self.schemas[kind].items():
                target[name].block.CopyFrom(_block(schema))
        return schemas

    def upgrade_resource_state(self, request: Any) -> Any:
        """The stored state; schemas do not change here."""
        schema = self.schemas["resources"][request.type_name]
        stored = json.loads(request.raw_state.json)
        return message("Upgraded")(upgraded_state={"json": json.dumps(self._complete(schema, stored)).encode()})

    def read_resource(self, request: Any) -> Any:
        """A resource is as it was."""
        return message("WasRead")(new_state=request.current_state)

    def plan_resource_change(self, request: Any) -> Any:
        """The proposed state; what the cloud decides is not known yet, unless it was decided before."""
        schema = self.schemas["resources"][request.type_name]
        states = (request.prior_state, request.proposed_new_state)
        prior, proposed = (msgpack.unpackb(state.msgpack) for state in states)
        planned = fill(schema, proposed, lambda *_: UNKNOWN) if prior is None else proposed
        if planned:  # a provider never returns what is write-only
            planned |= {name: None for name, (_, mode) in schema["attributes"].items() if "write_only" in mode}
        return message("Planned")(planned_state={"msgpack": msgpack.packb(planned)}, legacy_type_system=True)

    def apply_resource_change(self, request: Any) -> Any:
        """The planned state, with what a cloud could have answered."""
        schema = self.schemas["resources"][request.type_name]
        planned = msgpack.unpackb(request.planned_state.msgpack)
        state = fill(schema, planned, partial(invent, request.type_name, planned or {}))
        return message("Applied")(new_state={"msgpack": msgpack.packb(state)}, legacy_type_system=True)

    def read_data_source(self, request: Any) -> Any:
        """What a data source could find."""
        schema = self.schemas["data"][request.type_name]
        config = msgpack.unpackb(request.config.msgpack)
        state = fill(schema, config, partial(invent, request.type_name, config))
        return message("Data")(state={"msgpack": msgpack.packb(state)})

    @staticmethod
    def _complete(schema: Schema, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**dict.fromkeys([*schema.get("attributes", {}), *schema.get("blocks", {})]), **stored}


CALLS = {
    "GetProviderSchema": ("Request", StandIn.get_provider_schema),
    "UpgradeResourceState": ("Upgrade", StandIn.upgrade_resource_state),
    "ReadResource": ("Read", StandIn.read_resource),
    "PlanResourceChange": ("Plan", StandIn.plan_resource_change),
    "ApplyResourceChange": ("Apply", StandIn.apply_resource_change),
    "ReadDataSource": ("ReadData", StandIn.read_data_source),
}
WITHOUT_ANSWER = (
    *("ValidateProviderConfig", "ConfigureProvider", "ValidateResourceConfig", "ValidateDataResourceConfig"),
    "StopProvider",
)


def _serve(provider: StandIn, socket: str) -> Any:
    """Starts a provider's server on a Unix socket."""

    def handler(name: str, answer: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            lambda request, _: answer(provider, request),
            request_deserializer=message(name).FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )

    handlers = {call: handler(name, answer) for call, (name, answer) in CALLS.items()}
    handlers |= {call: handler("Request", lambda *_: message("Nothing")()) for call in WITHOUT_ANSWER}
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers),))
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    return server


class Terraform:
    """Runs Terraform on a copy of a folder of deploy, with stand-ins for its providers."""

    def __init__(self, folder: Path, own: Path, environment: Mapping[str, str]) -> None:
        """Takes the copy of the repository, Terraform's folder in it, and the environment; see `terraform`."""
        self.folder = folder
        self.own = own
        self.environment = environment

    def run(self, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command; variables are given as Terraform's environment variables."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}
        given = {f"TF_VAR_{name}": text for name, text in texts.items()}
        return subprocess.run(
            [PROGRAM or "terraform", f"-chdir={self.own}", *words],
            env={**self.environment, **given},
            capture_output=True,
            text=True,
            check=False,
        )

    def state(self) -> dict[str, Any]:
        """What exists: the values of each resource by address, and the outputs."""
        ended = self.run("show", "-json")
        assert ended.returncode == 0, ended.stderr
        values = json.loads(ended.stdout).get("values", {})
        resources = values.get("root_module", {}).get("resources", [])
        return {
            **{resource["address"]: resource["values"] for resource in resources},
            **{f"output.{name}": output["value"] for name, output in values.get("outputs", {}).items()},
        }

    def before(self, **variables: Any) -> dict[str, set[str]]:
        """What has to exist before each resource, directly or not, by address without index."""
        ended = self.run("graph", **variables)
        assert ended.returncode == 0, ended.stderr
        direct: dict[str, set[str]] = defaultdict(set)
        for later, earlier in re.findall(r'"([\w.]+)" -> "([\w.]+)"', ended.stdout):
            direct[later].add(earlier)

        def all_before(address: str) -> set[str]:
            return direct[address].union(*(all_before(other) for other in list(direct[address])))

        return {address: all_before(address) for address in list(direct)}


@contextmanager
def terraform(
    folder: Path, workspace: str = "prod", source: Path = FOLDER, schemas_file: Path = SCHEMAS
) -> Iterator[Terraform]:
    """Terraform in an empty folder, initialized, in a workspace.

    Args:
        folder: where the copy and the state are.
        workspace: the workspace to select.
        source: the folder of the repository with Terraform's files.
        schemas_file: the schemas of its providers.
    """
    copied = folder / "repository"
    ignore = shutil.ignore_patterns("__pycache__", ".terraform*", "*.tfstate*")
    for name in ("comagic", "deploy", ".dlt"):
        shutil.copytree(ROOT / name, copied / name, ignore=ignore)
    shutil.copy(ROOT / "comagic_pipeline.py", copied)
    servers, reattach = [], {}
    with tempfile.TemporaryDirectory() as sockets:  # a socket's path may have 108 characters
        for name, schemas in read_schemas(schemas_file).items():
            socket = f"{sockets}/{name}"
            servers.append(_serve(StandIn(schemas), socket))
            reattach[f"registry.terraform.io/{schemas.get('source', f'hashicorp/{name}')}"] = {
                **{"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True},
                "Addr": {"Network": "unix", "String": socket},
            }
        environment = {
            **{"PATH": os.environ["PATH"], "HOME": str(folder), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"},
            **{"TF_INPUT": "0", "TF_REATTACH_PROVIDERS": json.dumps(reattach), "TF_CLI_ARGS": "-no-color"},
        }
        program = Terraform(copied, copied / source.relative_to(ROOT), environment)
        try:
            for words in (("init",), ("workspace", "select", "-or-create", workspace)):
                ended = program.run(*words)
                assert ended.returncode == 0, ended.stdout + ended.stderr
            yield program
        finally:
            for server in servers:
                server.stop(None)
