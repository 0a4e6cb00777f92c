//! The only place where everything meets: configuration, the running validator, and the command line's work.

#[macro_use]
pub mod stdout;
pub mod config;
pub mod log;
pub mod device;
pub mod validator;
pub mod signals;
mod disk;
mod machine;
mod silences;
pub mod network;
pub mod query;
pub mod doors;
pub mod keys;
pub mod transfer;
pub mod accounts;
pub mod governance;
pub mod attestations;
pub mod reservations;
pub mod proofs;
pub mod archive;
pub mod backup;
pub mod verify;
pub mod sink;
pub mod bench;
pub mod series;
pub mod demo;
pub mod kernels;
pub mod cli;
