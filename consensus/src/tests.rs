//! Whole clusters in one process: real engines, a network and stores in memory.

mod cluster;
mod agreement;
mod recovery;
mod byzantine;
mod failure;
