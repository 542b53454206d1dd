//! Run directories to tables.
