//! YAML files to valid settings and pipelines.
