"""Schemas of the Terraform providers, taken from their published Python bindings (cdktn) and kept as data.

The providers themselves are at registry.terraform.io, which not every machine reaches; their bindings are on PyPI, are
generated from the newest schemas, and name every argument with its type and whether it is required. `python -m
tests.support.provider_schemas` downloads them (140 MB) and writes the schemas of what deploy/terraform uses; with
`--check` it compares.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .processes import ROOT
from .terraform import FOLDER

SCHEMAS = ROOT / "tests" / "data" / "terraform_providers.json"
BINDINGS = {
    "google": "cdktn-provider-google==21.1.0",
    "google-beta": "cdktn-provider-google-beta==21.1.0",
    "archive": "cdktn-provider-archive==14.0.1",
    "time": "cdktn-provider-time==14.0.2",
}
"""Packages with the bindings, by provider. A newer one brings newer schemas: raise it here, then write them."""
TYPES = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    **{f"{kind}{group}": [group.lower(), kind] for kind in ("string", "number") for group in ("List", "Map", "Set")},
}
GETTERS = {"String": "string", "Number": "number", "Boolean": "bool", "List": ["list", "string"]}

MODE = re.compile(r"// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)")
CLASS = re.compile(r"^class (\w+) extends [\w.]+ \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(
    r"^ {8,12}(?P<name>\w+): \{\n +value: (?P<value>.*),\n +isBlock: (?P<block>true|false),\n"
    r" +type: \"(?P<type>\w+)\",\n +storageClassType: \"(?P<storage>\w+)\"",
    re.MULTILINE,
)


def used_types() -> dict[str, set[str]]:
    """The resources and data sources of deploy/terraform, by provider."""
    found: dict[str, set[str]] = {name: set() for name in BINDINGS}
    for file in FOLDER.glob("*.tf"):
        text = file.read_text("utf-8")
        for block in re.finditer(r'^(resource|data) "(\w+)" "\w+" \{(.*?)^\}', text, re.MULTILINE | re.DOTALL):
            kind, name, body = block.groups()
            provider = "google-beta" if re.search(r"^  provider += google-beta$", body, re.MULTILINE) else ""
            provider = provider or name.partition("_")[0]
            if provider in found:
                found[provider].add(("data." if kind == "data" else "") + name)
    return found


def read_schema(script: str) -> dict[str, Any]:
    """The schema of a resource in its binding's JavaScript."""
    bodies, functions = dict(CLASS.findall(script)), dict(FUNCTION.findall(script))
    (main,) = (body for body in bodies.values() if "synthesizeHclAttributes() {" in body)
    return _block(main, main.partition("synthesizeHclAttributes() {")[2], bodies, functions)


def _block(body: str, entries: str, bodies: dict[str, str], functions: dict[str, str]) -> dict[str, Any]:
    """One block: `body` is the class with its accessors, `entries` what it is written from."""
    modes = {name: (computed, optional, required) for name, computed, optional, required in MODE.findall(body)}
    attributes: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    known = {entry["name"]: entry for entry in ENTRY.finditer(entries)}
    for name, (computed, optional, required) in modes.items():
        mode = " ".join(
            word
            for word, is_set in (("required", required), ("optional", optional), ("computed", computed))
            if is_set == "true"
        )
        entry = known.get(name)
        if entry and entry["block"] == "true":
            function = re.search(r"(\w+)ToHclTerraform", entry["value"])
            assert function, entry["value"]
            struct = function.group(1)
            inner = bodies.get(f"{struct[0].upper()}{struct[1:]}OutputReference", "")
            block = _block(inner, functions[struct], bodies, functions)
            block["nesting"] = "single" if entry["type"] == "struct" else entry["type"]
            if "Mapper" not in entry["value"] and entry["type"] != "struct":
                block["max"] = 1
            if required == "true":
                block["min"] = 1
            blocks[name] = block
        elif entry:
            attributes[name] = [TYPES.get(entry["storage"], "dynamic"), mode]
        else:
            getter = re.search(rf"this\.get(\w+)Attribute\('{name}'\)", body)
            mapped = re.search(rf"new cdktn\.(String|Number|Boolean)Map\(this, \"{name}\"\)", body)
            kind: Any = GETTERS.get(getter.group(1), "dynamic") if getter else "dynamic"
            kind = ["map", GETTERS[mapped.group(1)]] if mapped else kind
            attributes[name] = [kind, mode]
    return {"attributes": attributes, **({"blocks": blocks} if blocks else {})}


def scripts(wheel: Path) -> Iterator[tuple[str, str]]:
    """The binding's modules: their folder's name and their text."""
    with zipfile.ZipFile(wheel) as archive:
        (package,) = [name for name in archive.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(archive.read(package))) as files:
            for member in files:
                if member.name.startswith("package/lib/") and member.name.endswith("/index.js"):
                    content = files.extractfile(member)
                    assert content
                    yield member.name.split("/")[2], content.read().decode()


def read_schemas(folder: Path) -> dict[str, Any]:
    """Schemas of what is used, by provider, from wheels in a folder."""
    found: dict[str, Any] = {}
    for provider, names in used_types().items():
        (wheel,) = folder.glob(f"{BINDINGS[provider].partition('=')[0].replace('-', '_')}-[0-9]*.whl")
        found[provider] = {"version": "", "provider": {}, "resources": {}, "data": {}}
        for module, script in scripts(wheel):
            if module == "provider":
                schema = read_schema(script)
                for name in [name for name in schema["attributes"] if name.endswith("_custom_endpoint")]:
                    del schema["attributes"][name]
                found[provider]["provider"] = schema
                continue
            version = re.search(r"providerVersion: '([\d.]+)'", script)
            found[provider]["version"] = version.group(1) if version else found[provider]["version"]
            kind = re.search(r'static tfResourceType = "(\w+)"', script)
            if kind is None:
                continue
            is_data = module.startswith("data-")
            if f"{'data.' if is_data else ''}{kind.group(1)}" in names:
                found[provider]["data" if is_data else "resources"][kind.group(1)] = read_schema(script)
    return found


def main() -> None:
    """Writes or compares the schemas."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit with 1 if they differ")
    parser.add_argument("--wheels", type=Path, help="folder with the bindings' wheels; downloaded by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.wheels or Path(temporary)
        if not options.wheels:
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", temporary]
            subprocess.run([*download, *BINDINGS.values()], check=True)
        text = json.dumps(read_schemas(folder), indent=1, sort_keys=True) + "\n"
    if options.check:
        sys.exit(
            None
            if SCHEMAS.read_text("utf-8") == text
            else f"{SCHEMAS.name} differs from the bindings: python -m tests.support.provider_schemas"
        )
    SCHEMAS.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
