//! The C side that the SDK writes, called as a host calls it: panics, errors and lies stop at the border, and are told.

mod host;
mod plugin;
mod tasks;
mod terms;
