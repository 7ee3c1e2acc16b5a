//! JSON objects to columns, in one pass that knows which fields are asked for.

mod bits;
mod column;
mod fault;
mod keys;
mod number;
mod object;
mod skip;
mod string;
mod text;
mod time;
mod values;
mod views;

pub use bits::Bits;
pub use column::Column;
pub use fault::{Fault, Result};
pub use number::{Beyond, Misfit, scaled, skip as skip_number};
pub use object::{Field, Object};
pub use skip::{DEPTH_MAX, colon, value as skip_value};
pub use string::{Piece, read as read_string};
pub use text::Text;
pub use time::moment;
pub use views::{Behind, Views};
