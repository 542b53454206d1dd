//! A name to verified local files.
