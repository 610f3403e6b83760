"""Settings of dlt that this program has other defaults for; each can be configured as usual."""

import dlt
from dlt.common.runtime.telemetry import stop_telemetry

TELEMETRY = "runtime.dlthub_telemetry"

DEFAULTS = {
    TELEMETRY: False,  # dlt sends usage data to its vendor unless this is false
    # dlt's temporary files between extract and normalize; gzip would take most of the time and save little disk space
    "sources.data_writer.disable_compression": True,
}
"""What the repository's `.dlt/config.toml` says, for a start in any other folder."""

WIDER = {"sources.data_writer.disable_compression": "data_writer.disable_compression"}
"""Where dlt looks next for a setting that is not configured."""


def apply_defaults() -> None:
    """Sets what is configured neither in a file nor in the environment. dlt's telemetry is stopped before it sends."""
    missing = [name for name in DEFAULTS if all(dlt.config.get(key) is None for key in (name, WIDER.get(name, name)))]
    for name in missing:
        dlt.config[name] = DEFAULTS[name]
    if TELEMETRY in missing:
        stop_telemetry()
        dlt.current.run_context().initialize_runtime()  # takes the setting
