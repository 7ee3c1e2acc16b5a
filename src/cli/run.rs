//! stub
pub(super) fn run(_a: &super::arguments::RunArguments) -> crate::error::Result<()> { Ok(()) }
