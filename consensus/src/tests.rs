//! Whole clusters in one process: real engines, a network and stores in memory.

mod pace;
mod network;
mod validator;
mod cluster;
mod agreement;
mod certificates;
mod certification;
mod recovery;
mod floor;
mod memory;
mod epochs;
mod byzantine;
mod failure;
mod threads;
