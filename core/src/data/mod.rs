//! Data: who reads, who prepares, who may see labels.

mod columns;
mod example;
mod feed;
mod keys;
mod labels;
mod picked;
mod resolve;
mod row_form;
mod split;
mod table;

pub use columns::{Features, Rows, Texts};
pub use example::{Example, Field, Prepare, View};
pub use feed::{Cursor, Feed, From, Loaded, Sampler};
pub use keys::{DataKeys, Form, open_tables};
pub use labels::{Domain, Labels, Reading, Sealed};
pub(crate) use picked::Pick;
pub use resolve::{Blob, Found, Resolve, note_unresolved};
pub use row_form::{Found as FoundRows, Named, RowForm};
pub use split::{Fold, Split, grouped, per_class, stratified};
pub use table::{Cache, Input, ReadOptions, Reader, Samples, Table};
