//! Checks of the repository itself; they are all in `tests/`.
#![forbid(unsafe_code)]
