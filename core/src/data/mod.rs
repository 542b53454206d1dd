//! Data: who reads, who prepares, who may see labels.

mod ahead;
mod columns;
mod example;
mod feed;
mod keys;
mod known;
mod labels;
mod picked;
mod pictures;
mod resolve;
mod row_form;
mod shared;
mod split;
mod table;

pub use columns::{Features, Rows, Texts};
pub use example::{CUTS, Example, Field, Prepare, View};
pub use feed::{Cursor, Feed, From, Loaded, Sampler};
pub(crate) use feed::{OTHER, SHARE};
pub use keys::{DEALT, DataKeys, Form, open_rows, open_tables};
pub(crate) use known::is_of;
pub use known::{DIGITS, OFFICE_31, OFFICE_CALTECH, SCENES, VISDA};
pub use labels::{Domain, Labels, Reading, Sealed};
pub(crate) use picked::Pick;
pub use picked::pick;
pub use pictures::{Images, Likeness, Look, Pictures};
pub use resolve::{Blob, Found, Resolve, note_unresolved};
pub use row_form::{Found as FoundRows, Named, RowForm};
pub(crate) use shared::Shared;
pub use split::{Fold, Split, grouped, per_class, stratified};
pub use table::{Cache, Input, ReadOptions, Reader, Samples, Table};
