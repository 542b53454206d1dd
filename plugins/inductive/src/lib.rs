//! Inductive strategies.
