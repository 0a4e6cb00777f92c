//! The only place where everything meets: configuration, the running validator, and the command line's work.

pub mod config;
