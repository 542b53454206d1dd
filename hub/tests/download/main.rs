//! Names of the hub against a server on loopback: what is downloaded, and everything that can go wrong with it.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod bench;
mod cache;
mod data_sets;
mod faults;
mod processes;
mod transfer;
