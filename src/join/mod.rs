//! Events with dimensions.
