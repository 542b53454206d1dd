//! Recipes: what is written, checked, and said about it.
//!
//! A recipe is a TOML file that a person writes. This crate reads it so that nothing in it is passed over in silence,
//! and whatever is wrong with it is said the way rustc says it: all in one go, each with its line, a caret, what was
//! expected, and the name that was probably meant.
//!
//! # Reading is declaring
//!
//! Whoever needs a setting asks a table for it. One call reads the key, checks it, marks it as read, and records it
//! for `explain` and for the schema:
//!
//! ```
//! use tlkit_recipe::Written;
//!
//! let text = "\
//! [train]
//! learning_rate = \"1e-4\"
//! epoch = 3
//! ";
//! let written = Written::parse("recipe.toml", text, &[])?;
//! let train = written.keys().table("train");
//! let rate = train.f64("learning_rate").default(5e-5, "width 384").above(0.0).help("the encoder's").read();
//! let epochs = train.usize("epochs").range(1..=100).optional();
//!
//! // An error does not stop the reading: the default stands in, so one pass finds them all.
//! assert_eq!((rate, epochs), (5e-5, None));
//! let report = written.finish();
//! assert_eq!(report.to_string(), "\
//! error: `learning_rate` must be a number
//!  --> recipe.toml:2:17
//!   |
//! 2 | learning_rate = \"1e-4\"
//!   |                 ^^^^^^ expected a number greater than 0, found the string `\"1e-4\"`
//!   |
//!   = help: write 1e-4 without quotes
//!
//! error: unknown key `epoch` in `[train]`
//!  --> recipe.toml:3:1
//!   |
//! 3 | epoch = 3
//!   | ^^^^^ nothing reads this key
//!   |
//!   = help: did you mean `epochs`?
//!
//! 2 errors in recipe.toml
//! ");
//! # Ok::<(), tlkit_recipe::Report>(())
//! ```
//!
//! A key that nothing reads is an error, so a setting that is accepted and ignored cannot be: to allow a key is to
//! read it.
//!
//! # The pieces
//!
//! - [`Written`] is the file with `--set` on top, parsed. [`Written::finish`] gives the [`Report`].
//! - [`Keys`] is a table. Handles are cheap and share one record, so several consumers can each hold theirs.
//! - [`Key`] is one key on its way to being read: what is allowed, then `.default(..).read()`, `.optional()` or
//!   `.required()`.
//! - [`At`] is a place. Keep it, and an error that is found hours later still points at the line.
//! - [`Record`] is what was read: [`Record::explain`] prints the complete recipe, and [`Schema`] puts the records of
//!   blank recipes ([`Written::blank`]) together for editors.
//!
//! # Beyond one key
//!
//! What a single key cannot say, its reader notes at a place:
//!
//! ```
//! use tlkit_recipe::Written;
//!
//! let text = "[strategy]\nkind = \"inductive\"\nmethod = \"dann\"\n";
//! let written = Written::parse("recipe.toml", text, &[])?;
//! let strategy = written.keys().table("strategy");
//! let kind = strategy.string("kind").required();
//! let method = strategy.string("method").required();
//! if (kind.as_str(), method.as_str()) == ("inductive", "dann") {
//!     let places = [(strategy.at("method"), "needs unlabelled rows"), (strategy.at("kind"), "has none")];
//!     strategy.conflict(&places, "`dann` is not an inductive method").help("write `kind = \"transductive\"`");
//! }
//! assert_eq!(written.finish().summary(), "1 error in recipe.toml");
//! # Ok::<(), tlkit_recipe::Report>(())
//! ```

mod diagnostic;
mod explain;
mod key;
mod keys;
mod kinds;
mod nearest;
mod overlay;
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
pub use explain::Unwritten;
pub use key::{Key, NoDefault, WithDefault};
pub use keys::{Keys, Noted};
pub use kinds::{Auto, Column, Kind, Ranged, Readable, Wrong};
pub use nearest::nearest;
pub use overlay::Overlay;
pub use record::Record;
pub use schema::Schema;
pub use source::At;
pub use tree::quote;
pub use value::Value;
pub use written::Written;
