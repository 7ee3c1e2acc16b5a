//! Bytes out: the mirror of source.
