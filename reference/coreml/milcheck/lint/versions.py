"""Specification versions: their opset, their system, and what came with them."""

# Model.proto lists the versions; the opset names are coremltools' targets.
OPSETS = {6: "CoreML5", 7: "CoreML6", 8: "CoreML7", 9: "CoreML8", 10: "CoreML9"}

MACOS_13 = 7
MACOS_15 = 9
MACOS_26 = 10
