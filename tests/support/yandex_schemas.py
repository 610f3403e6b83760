"""Schemas of Yandex Cloud's Terraform provider, taken from its published documentation and kept as data.

The provider is at registry.terraform.io, which not every machine reaches; its documentation is in its repository,
yandex-cloud/terraform-provider-yandex on GitHub, is generated from its schemas, and names every argument with its type
and whether it is required. `python -m tests.support.yandex_schemas CLONE VERSION` writes the schemas of what
deploy/yandex uses, from a clone of that repository.

The documentation does not say whether a block is a list or a set, nor which optional arguments get a value if they are
left out: `SETS` and `COMPUTED` say it, after the provider's source.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from .terraform import YANDEX_FOLDER, YANDEX_SCHEMAS

SETS = {
    *("yandex_vpc_security_group.ingress", "yandex_vpc_security_group.egress"),
    "yandex_function_scaling_policy.policy",
}
COMPUTED = {"id", "yandex_compute_instance.network_interface.ip_address"}
TYPES: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Bool": "bool",
    **{f"{group} Of String": [group.lower(), "string"] for group in ("List", "Set", "Map")},
}
ENTRY = re.compile(
    r"^(?P<indent> *)- `(?P<name>\w+)` (?:(?P<mode>\(\*{1,2}[\w-]+\*{1,2}\)) ?)?"
    r"(?:\((?P<type>[A-Z][\w ]+)\)|(?P<block>\[Block\])|)\."
)


def used_types() -> set[str]:
    """The resources and data sources of deploy/yandex; data sources with the prefix `data.`."""
    text = "".join(file.read_text("utf-8") for file in sorted(YANDEX_FOLDER.glob("*.tf")))
    blocks = re.findall(r'^(resource|data) "(\w+)"', text, re.MULTILINE)
    return {f"{'data.' if kind == 'data' else ''}{name}" for kind, name in blocks}


def read_page(name: str, page: str) -> dict[str, Any]:
    """The schema of a resource, a data source or the provider by its page."""
    text = page.partition("## Arguments & Attributes Reference")[2].partition("## Import")[0]
    schema: dict[str, Any] = {}
    path: list[tuple[str, dict[str, Any]]] = [(name, schema)]
    for line in text.splitlines():
        if not (entry := ENTRY.match(line)):
            continue
        depth = len(entry["indent"]) // 2 + 1
        del path[depth:]
        parent = path[-1][1]
        full = ".".join([*(part for part, _ in path), entry["name"]])
        if entry["block"]:
            nesting = "single" if entry["name"] == "timeouts" else "set" if full in SETS else "list"
            block: dict[str, Any] = {"nesting": nesting}
            parent.setdefault("blocks", {})[entry["name"]] = block
            path.append((entry["name"], block))
        elif entry["type"] == "List Of Object":
            members: dict[str, Any] = {}
            parent.setdefault("attributes", {})[entry["name"]] = [["list", ["object", members]], "computed"]
            path.append((entry["name"], {"members": members}))
        elif "members" in parent:
            parent["members"][entry["name"]] = "string"
        elif entry["type"] in TYPES:
            parent.setdefault("attributes", {})[entry["name"]] = [TYPES[entry["type"]], _mode(full, entry)]
    return schema


def _mode(full: str, entry: re.Match[str]) -> str:
    """Whether an argument is required, optional or computed."""
    if "Read-Only" in (entry["mode"] or "") or entry["name"] == "id":
        return "computed"
    if "Required" in (entry["mode"] or ""):
        return "required"
    words = ["optional", *(["computed"] if full in COMPUTED else []), *(["write_only"] * entry["name"].endswith("_wo"))]
    return " ".join(words)


def read_schemas(clone: Path, version: str) -> dict[str, Any]:
    """The schemas of what deploy/yandex uses."""
    found: dict[str, Any] = {"source": "yandex-cloud/yandex", "version": version, "resources": {}, "data": {}}
    found["documentation"] = "docs of github.com/yandex-cloud/terraform-provider-yandex"
    found["provider"] = read_page("provider", (clone / "docs" / "index.md").read_text("utf-8"))
    for name in sorted(used_types()):
        kind, folder = ("data", "data-sources") if name.startswith("data.") else ("resources", "resources")
        bare = name.removeprefix("data.")
        page = clone / "docs" / folder / f"{bare.removeprefix('yandex_')}.md"
        found[kind][bare] = read_page(bare, page.read_text("utf-8"))
    return {"yandex": found}


def main() -> None:
    """Writes the schemas."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clone", type=Path, help="a clone of yandex-cloud/terraform-provider-yandex")
    parser.add_argument("version", help="the release that is checked out there")
    options = parser.parse_args()
    text = json.dumps(read_schemas(options.clone, options.version), indent=1, sort_keys=True) + "\n"
    YANDEX_SCHEMAS.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
