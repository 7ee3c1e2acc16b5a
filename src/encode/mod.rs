//! Arrow to bytes: the mirror of decode.
