//! stub
pub(super) fn demo(_a: &super::arguments::DemoArguments) -> crate::error::Result<()> { Ok(()) }
