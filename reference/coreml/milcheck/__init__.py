"""Checks Core ML packages on any system: reads, lints, types and executes them.

Nothing of macOS is needed. The package is read from its protobuf and its weight
file by code that shares nothing with the Rust that writes it.
"""

import logging

# coremltools logs, as it is imported, that its macOS parts are missing: no news here.
logging.getLogger("coremltools").setLevel(logging.CRITICAL)
