//! What joins remember.
