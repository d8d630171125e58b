"""The two ways in which a package is wrong: it cannot be read, or it cannot be run."""


class PackageError(Exception):
    """A file of the package is missing or is not what the format says."""


class ExecutionError(Exception):
    """An operation cannot be executed, or gives another type than it declares."""
