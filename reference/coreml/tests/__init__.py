"""python -m unittest -b, in reference/coreml, with the environment that `setup` makes."""

# Quietens coremltools, before a test imports it.
import milcheck  # noqa: F401
