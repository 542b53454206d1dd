//! Recipes: what is written, checked, and said about it.

mod diagnostic;
mod explain;
mod key;
mod keys;
mod kinds;
mod nearest;
mod record;
mod render;
mod schema;
mod set;
mod shared;
mod source;
mod syntax;
mod tree;
mod unread;
mod value;
mod written;

pub use diagnostic::{Diagnostic, Report, Severity};
pub use key::{Key, NoDefault, WithDefault};
pub use keys::{Keys, Noted};
pub use kinds::{Auto, Column, Kind, Ranged, Readable, Wrong};
pub use record::Record;
pub use schema::Schema;
pub use source::At;
pub use value::Value;
pub use written::Written;
